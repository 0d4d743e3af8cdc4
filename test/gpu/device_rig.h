// Backends on the device for tests, and what drives them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend_driver.h"
#include "check.h"
#include "model/cuda/cuda_backend.h"

namespace sluice::check {

inline std::unique_ptr<Backend> load_on_device(const std::string& folder, bool deterministic) {
  LoadOptions options;
  options.folder = folder;
  options.deterministic = deterministic;
  std::unique_ptr<Backend> backend;
  const Status status = load_cuda_backend(options, &backend);
  if (!status.is_ok()) fail(__FILE__, __LINE__, folder + ": " + status.message());
  return backend;
}

inline std::vector<uint32_t> prompt_of(uint32_t tokens, uint32_t vocab, uint32_t salt) {
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < tokens; ++i) ids.push_back((i * i * 31 + i * 7 + salt * 13) % vocab);
  return ids;
}

// A token and its scores, to the bit.
inline void put_bits(const SampledToken& token, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(&token.id), sizeof(token.id));
  bytes->append(reinterpret_cast<const char*>(&token.logprob), sizeof(token.logprob));
  for (const TokenScore& score : token.top) {
    bytes->append(reinterpret_cast<const char*>(&score.id), sizeof(score.id));
    bytes->append(reinterpret_cast<const char*>(&score.logprob), sizeof(score.logprob));
  }
}

// Where the project's models are: SLUICE_TEST_MODELS, else beside the project.
inline std::string models_folder() {
  const char* path = std::getenv("SLUICE_TEST_MODELS");
  return path == nullptr ? "../shared/models" : path;
}

}  // namespace sluice::check
