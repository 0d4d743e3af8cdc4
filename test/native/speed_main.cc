// Tokens a second of a model folder through Backend alone: decoding with some streams at once, and
// prefill of one prompt. Prints one JSON object a line; the hash shows that runs computed the same.
//
//   speed FOLDER [DTYPE] [THREADS]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "backend_driver.h"

namespace sluice::check {
namespace {

constexpr uint32_t kDecodeTokens = 48;
constexpr uint32_t kPromptTokens = 16;
constexpr uint32_t kPrefillTokens = 512;

double seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

uint64_t hash_of(const std::vector<uint32_t>& ids, uint64_t hash) {
  for (const uint32_t id : ids) hash = (hash ^ id) * 0x100000001B3;
  return hash;
}

std::vector<uint32_t> prompt_of(uint32_t tokens, uint32_t salt, uint32_t vocab) {
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < tokens; ++i) ids.push_back((i * 7919 + salt * 104729 + 13) % vocab);
  return ids;
}

struct Measured {
  const char* what;
  uint32_t streams;
  uint32_t tokens;
  double elapsed;
  uint64_t hash;
};

void report(const Measured& measured) {
  std::printf(
      "{\"what\": \"%s\", \"streams\": %u, \"tokens\": %u, \"tokens_per_s\": %.1f, "
      "\"hash\": \"%016llx\"}\n",
      measured.what,
      measured.streams,
      measured.tokens,
      measured.tokens / measured.elapsed,
      static_cast<unsigned long long>(measured.hash));
  std::fflush(stdout);
}

void measure_decode(BackendDriver* driver, uint32_t streams, uint32_t vocab) {
  SamplingArgs greedy;
  greedy.temperature = 0;
  driver->clear();
  for (uint32_t i = 0; i < streams; ++i) {
    driver->add(prompt_of(kPromptTokens, i, vocab), kDecodeTokens + 1, greedy);
  }
  driver->run(1, kPromptTokens);
  const double start = seconds();
  driver->run(kDecodeTokens + 1, kPromptTokens);
  const double elapsed = seconds() - start;
  uint64_t hash = 0;
  for (const DrivenSequence& sequence : driver->sequences()) hash = hash_of(sequence.ids, hash);
  report({"decode", streams, streams * kDecodeTokens, elapsed, hash});
}

void measure_prefill(BackendDriver* driver, uint32_t tokens, uint32_t vocab) {
  SamplingArgs greedy;
  greedy.temperature = 0;
  driver->clear();
  driver->add(prompt_of(tokens, 3, vocab), 1, greedy);
  const double start = seconds();
  driver->run(1, tokens);
  const double elapsed = seconds() - start;
  report({"prefill", 1, tokens, elapsed, hash_of(driver->sequences()[0].ids, 0)});
}

}  // namespace

int measure(const LoadOptions& options) {
  std::unique_ptr<Backend> backend;
  const double start = seconds();
  const Status loaded = load_cpu_backend(options, &backend);
  if (!loaded.is_ok()) {
    std::fprintf(stderr, "%s\n", loaded.message().c_str());
    return 1;
  }
  const BackendInfo& info = backend->info();
  std::printf("{\"what\": \"load\", \"seconds\": %.2f, \"device\": \"%s\", \"dtype\": \"%s\"}\n",
              seconds() - start,
              info.device.c_str(),
              info.dtype.c_str());
  BackendDriver driver(backend.get());
  for (const uint32_t streams : {1u, 4u, 8u, 16u}) {
    measure_decode(&driver, streams, info.vocab_size);
  }
  measure_prefill(&driver, 128, info.vocab_size);
  measure_prefill(&driver, std::min(kPrefillTokens, info.context_tokens_max - 1), info.vocab_size);
  return 0;
}

}  // namespace sluice::check

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: speed FOLDER [DTYPE] [THREADS]\n");
    return 2;
  }
  sluice::LoadOptions options;
  options.folder = argv[1];
  if (argc > 2) options.dtype = argv[2];
  if (argc > 3) options.threads = static_cast<uint32_t>(std::atoi(argv[3]));
  return sluice::check::measure(options);
}
