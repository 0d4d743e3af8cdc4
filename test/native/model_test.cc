// Whole models of every family, loaded from folders and run through Backend: against a float64
// forward written from the formulas, and bit for bit against themselves under every way of
// batching.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend_driver.h"
#include "check.h"
#include "reference_forward.h"
#include "runtime/isa.h"
#include "tiny_families.h"

namespace sluice {
namespace {

using check::BackendDriver;
using check::DrivenSequence;
using check::TemporaryFolder;
using check::TinyBuilder;
using check::TinyModel;
using check::TinySpec;

std::unique_ptr<Backend> load(const TemporaryFolder& folder,
                              uint32_t threads = 2,
                              const std::string& dtype = "auto") {
  LoadOptions options;
  options.folder = folder.path();
  options.threads = threads;
  options.dtype = dtype;
  std::unique_ptr<Backend> backend;
  const Status status = load_cpu_backend(options, &backend);
  if (!status.is_ok()) check::fail(__FILE__, __LINE__, status.message());
  return backend;
}

std::vector<uint32_t> prompt_of(uint32_t tokens, uint32_t vocab, uint32_t salt) {
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < tokens; ++i) ids.push_back((i * i * 31 + i * 7 + salt * 13) % vocab);
  return ids;
}

// Scores of the whole prompt, every id of the vocabulary among them.
DrivenSequence score_prompt(Backend* backend, const std::vector<uint32_t>& prompt, uint32_t chunk) {
  BackendDriver driver(backend);
  SamplingArgs args;
  args.temperature = 0;
  args.logprobs = args.prompt_logprobs = static_cast<int32_t>(backend->info().vocab_size);
  driver.add(prompt, 1, args);
  driver.run(1, chunk);
  return driver.sequences()[0];
}

double worst_difference(const SampledToken& found, const std::vector<double>& wanted) {
  double worst = found.top.size() == wanted.size() ? 0 : INFINITY;
  for (const TokenScore& score : found.top) {
    worst = std::max(worst, std::fabs(static_cast<double>(score.logprob) - wanted[score.id]));
  }
  return worst;
}

TEST("every family gives the logprobs of a float64 forward at every position") {
  for (const auto& [name, spec] : check::tiny_families()) {
    const TinyModel model = TinyBuilder(spec, 41).build();
    const TemporaryFolder folder;
    check::write_folder(model, folder);
    const std::unique_ptr<Backend> backend = load(folder);
    REQUIRE(backend != nullptr);
    const std::vector<uint32_t> prompt = prompt_of(50, spec.vocab, 1);
    const DrivenSequence found = score_prompt(backend.get(), prompt, 64);
    const auto wanted = check::ReferenceForward(model).run(prompt);
    REQUIRE(found.prompt_scores.size() == prompt.size() - 1);
    double worst = worst_difference(found.drawn[0], wanted.back());
    for (size_t i = 0; i + 1 < prompt.size(); ++i) {
      worst = std::max(worst, worst_difference(found.prompt_scores[i], wanted[i]));
      CHECK_EQ(found.prompt_scores[i].id, prompt[i + 1]);
      CHECK_NEAR(found.prompt_scores[i].logprob, wanted[i][prompt[i + 1]], 1e-4);
    }
    if (!(worst < 1e-4)) {
      check::fail(__FILE__, __LINE__, name + ": off by " + std::to_string(worst));
    }
  }
}

// Four sequences: three greedy or seeded, one that is scored too; what came out, to the bit.
std::string outcome(Backend* backend, uint32_t chunk) {
  BackendDriver driver(backend);
  const uint32_t vocab = backend->info().vocab_size;
  SamplingArgs greedy;
  greedy.temperature = 0;
  greedy.logprobs = 3;
  SamplingArgs seeded;
  seeded.temperature = 0.9f;
  seeded.top_p = 0.95f;
  seeded.seed = 77;
  seeded.logprobs = 0;
  SamplingArgs scored = greedy;
  scored.prompt_logprobs = 2;
  driver.add(prompt_of(3, vocab, 1), 20, greedy);
  driver.add(prompt_of(270, vocab, 2), 20, seeded);
  driver.add(prompt_of(33, vocab, 3), 20, scored);
  driver.add(prompt_of(16, vocab, 4), 20, seeded);
  driver.run(20, chunk);
  std::string bytes;
  const auto put = [&bytes](const SampledToken& token) {
    bytes.append(reinterpret_cast<const char*>(&token.id), sizeof(token.id));
    bytes.append(reinterpret_cast<const char*>(&token.logprob), sizeof(token.logprob));
    for (const TokenScore& score : token.top) {
      bytes.append(reinterpret_cast<const char*>(&score), sizeof(score));
    }
  };
  for (const DrivenSequence& sequence : driver.sequences()) {
    for (const SampledToken& token : sequence.drawn) put(token);
    for (const SampledToken& token : sequence.prompt_scores) put(token);
  }
  return bytes;
}

TEST("tokens and logprobs are the same bits for any chunk, any number of threads and any ISA") {
  for (const auto& [name, spec] : check::tiny_families()) {
    const TinyModel model = TinyBuilder(spec, 42).build();
    const TemporaryFolder folder;
    check::write_folder(model, folder);
    const std::string wanted = outcome(load(folder, 1).get(), 512);
    REQUIRE(wanted.size() > 1000);
    for (const uint32_t chunk : {1u, 7u, 16u, 64u}) {
      CHECK(outcome(load(folder, chunk % 2 + 1).get(), chunk) == wanted);
    }
    for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
      if (!has_isa(isa)) continue;
      ::setenv("SLUICE_ISA", isa_name(isa), 1);
      const std::unique_ptr<Backend> other = load(folder, 1);
      ::unsetenv("SLUICE_ISA");
      CHECK(other->info().device.find(isa_name(isa)) != std::string::npos);
      CHECK(outcome(other.get(), 40) == wanted);
    }
  }
}

TEST("a sequence alone draws what it draws in a crowd") {
  const TinyModel model = TinyBuilder(check::tiny_families()[1].second, 43).build();
  const TemporaryFolder folder;
  check::write_folder(model, folder);
  const std::unique_ptr<Backend> backend = load(folder);
  BackendDriver driver(backend.get());
  SamplingArgs args;
  args.temperature = 0.8f;
  args.seed = 5;
  for (uint32_t i = 0; i < 16; ++i) driver.add(prompt_of(1 + i * 3, 97, i), 12, args);
  driver.run(12, 5);
  std::vector<std::vector<uint32_t>> crowd;
  for (const DrivenSequence& sequence : driver.sequences()) crowd.push_back(sequence.ids);
  for (uint32_t i = 0; i < 16; ++i) {
    driver.clear();
    driver.add(prompt_of(1 + i * 3, 97, i), 12, args);
    driver.run(12, 512);
    CHECK(driver.sequences()[0].ids == crowd[i]);
  }
}

TEST("a block that was saved and loaded elsewhere is the same block") {
  const TinyModel model = TinyBuilder(TinySpec(), 44).build();
  const TemporaryFolder folder;
  check::write_folder(model, folder);
  const std::unique_ptr<Backend> backend = load(folder);
  REQUIRE(backend->reserve(8, 2, 64).is_ok());
  SamplingArgs args;
  args.temperature = 0;
  args.logprobs = 97;
  const std::vector<uint32_t> ids = prompt_of(21, 97, 1);
  const uint32_t first_blocks[] = {3, 5};
  const auto step = [&](const uint32_t* blocks, uint32_t context, uint32_t tokens) {
    Batch batch;
    BatchSequence& sequence = batch.sequences.emplace_back();
    sequence.tokens = ids.data() + context;
    sequence.query_tokens = tokens;
    sequence.context_tokens = context;
    sequence.block_table = blocks;
    sequence.sample = true;
    sequence.sampling = &args;
    StepResult result;
    CHECK(backend->launch(batch).is_ok());
    CHECK(backend->collect(&result).is_ok());
    return result.sequences[0].sampled.logprob;
  };
  step(first_blocks, 0, 20);
  const float wanted = step(first_blocks, 20, 1);
  const uint32_t moved_blocks[] = {0, 7};
  std::vector<uint8_t> host(backend->info().kv_bytes_per_block);
  for (int i = 0; i < 2; ++i) {
    CHECK(backend->save_block(first_blocks[i], host.data()).is_ok());
    CHECK(backend->load_block(moved_blocks[i], host.data()).is_ok());
  }
  CHECK_EQ(step(moved_blocks, 20, 1), wanted);
}

}  // namespace
}  // namespace sluice
