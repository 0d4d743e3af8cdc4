// What a model on the device says of a text, for comparison with another implementation:
//
//   device_logits FOLDER IDS_FILE        ids in decimal, separated by white space
//
// One line a position from the second on: "logprob-of-the-id id logprob id logprob ...", the
// likeliest 20 first.
#include <cstdio>
#include <fstream>
#include <memory>
#include <vector>

#include "backend_driver.h"
#include "model/cuda/cuda_backend.h"

namespace sluice {
namespace {

constexpr int32_t kTop = 20;

int print_scores(const char* folder, const char* ids_file) {
  std::vector<uint32_t> ids;
  std::ifstream file(ids_file);
  for (uint32_t id = 0; file >> id;) ids.push_back(id);
  LoadOptions options;
  options.folder = folder;
  std::unique_ptr<Backend> backend;
  const Status loaded = load_cuda_backend(options, &backend);
  if (!loaded.is_ok() || ids.size() < 2) {
    std::fprintf(stderr, "%s: %s\n", folder, loaded.message().c_str());
    return 1;
  }
  check::BackendDriver driver(backend.get(), {512, 2, 512});
  SamplingArgs args;
  args.temperature = 0;
  args.logprobs = args.prompt_logprobs = kTop;
  driver.add(ids, 1, args);
  driver.run(1, 512);
  for (const SampledToken& score : driver.sequences()[0].prompt_scores) {
    std::printf("%.6f", static_cast<double>(score.logprob));
    for (const TokenScore& other : score.top) {
      std::printf(" %u %.6f", other.id, static_cast<double>(other.logprob));
    }
    std::printf("\n");
  }
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: device_logits FOLDER IDS_FILE\n");
    return 2;
  }
  return sluice::print_scores(argv[1], argv[2]);
}
