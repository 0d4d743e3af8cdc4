// Whole models on the device: every family against a float64 forward, and to the bit against
// themselves under every way of batching, in deterministic mode.
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "device_rig.h"
#include "reference_forward.h"
#include "tiny_families.h"

namespace sluice {
namespace {

using check::BackendDriver;
using check::DrivenSequence;
using check::load_on_device;
using check::prompt_of;
using check::TemporaryFolder;
using check::TinyBuilder;
using check::TinyModel;
using check::Vector;

// The device rounds what it stores to bf16, as ReferenceForward does with Rounding::kBf16, but sums
// in other orders and rounds some linears' outputs once more: another draw of the same errors. Some
// thousand of them have nearly the same mean; the worst of so many spreads further.
constexpr double kMeans = 1.2;
constexpr double kWorsts = 1.6;

// Alternatives that a score carries on the device.
constexpr int32_t kTop = 20;

struct Difference {
  double worst = 0;
  double sum = 0;
  uint32_t count = 0;

  void add(double found, double wanted) {
    const double off = std::fabs(found - wanted);
    worst = std::isnan(off) ? INFINITY : std::max(worst, off);
    sum += off;
    ++count;
  }
  double mean() const { return sum / std::max(count, 1u); }
};

double deviation(const std::vector<double>& row) {
  double sum = 0;
  double squares = 0;
  for (const double value : row) {
    sum += value;
    squares += value * value;
  }
  const auto count = static_cast<double>(row.size());
  return std::sqrt(squares / count - sum / count * (sum / count));
}

void compare(const SampledToken& found, const std::vector<double>& wanted, Difference* difference) {
  CHECK(found.top.size() == std::min<size_t>(kTop, wanted.size()));
  const double unit = deviation(wanted);
  for (const TokenScore& score : found.top) {
    REQUIRE(score.id < wanted.size());
    difference->add(static_cast<double>(score.logprob) / unit, wanted[score.id] / unit);
  }
}

// Of all scores that the device gives: the likeliest ids' and the prompt's own.
Difference difference_from(const std::vector<Vector>& wanted,
                           const DrivenSequence& found,
                           const std::vector<uint32_t>& prompt) {
  Difference difference;
  compare(found.drawn[0], wanted.back(), &difference);
  for (size_t i = 0; i + 1 < prompt.size(); ++i) {
    CHECK_EQ(found.prompt_scores[i].id, prompt[i + 1]);
    const double unit = deviation(wanted[i]);
    difference.add(static_cast<double>(found.prompt_scores[i].logprob) / unit,
                   wanted[i][prompt[i + 1]] / unit);
    compare(found.prompt_scores[i], wanted[i], &difference);
  }
  return difference;
}

// What bf16 alone does to the same scores.
Difference difference_of_rounding(const std::vector<Vector>& wanted,
                                  const std::vector<Vector>& rounded) {
  Difference difference;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double unit = deviation(wanted[i]);
    for (size_t id = 0; id < wanted[i].size(); ++id) {
      difference.add(rounded[i][id] / unit, wanted[i][id] / unit);
    }
  }
  return difference;
}

TEST("every family gives the logprobs of a float64 forward at every position, on the device") {
  for (const auto& [name, spec] : check::tiny_families()) {
    const TinyModel model = TinyBuilder(spec, 41).build();
    const TemporaryFolder folder;
    check::write_folder(model, folder);
    const std::vector<uint32_t> prompt = prompt_of(50, spec.vocab, 1);
    const auto wanted = check::ReferenceForward(model).run(prompt);
    const Difference allowed = difference_of_rounding(
        wanted, check::ReferenceForward(model, check::Rounding::kBf16).run(prompt));
    for (const bool deterministic : {false, true}) {
      const std::unique_ptr<Backend> backend = load_on_device(folder.path(), deterministic);
      if (backend == nullptr) continue;
      BackendDriver driver(backend.get());
      SamplingArgs args;
      args.temperature = 0;
      args.logprobs = args.prompt_logprobs = kTop;
      driver.add(prompt, 1, args);
      driver.run(1, 64);
      const DrivenSequence& found = driver.sequences()[0];
      REQUIRE(found.prompt_scores.size() == prompt.size() - 1);
      const Difference difference = difference_from(wanted, found, prompt);
      std::printf("  %s%s: worst %.4f, mean %.5f (rounding alone: %.4f, %.5f)\n",
                  name.c_str(),
                  deterministic ? ", deterministic" : "",
                  difference.worst,
                  difference.mean(),
                  allowed.worst,
                  allowed.mean());
      CHECK(difference.worst < kWorsts * allowed.worst);
      CHECK(difference.mean() < kMeans * allowed.mean());
    }
  }
}

// Four sequences: greedy or seeded, one that is scored too; what came out, to the bit.
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
  SamplingArgs penalised = seeded;
  penalised.frequency_penalty = 0.5f;
  penalised.repetition_penalty = 1.2f;
  driver.add(prompt_of(3, vocab, 1), 20, greedy);
  driver.add(prompt_of(270, vocab, 2), 20, seeded);
  driver.add(prompt_of(33, vocab, 3), 20, scored);
  driver.add(prompt_of(16, vocab, 4), 20, penalised);
  driver.run(20, chunk);
  std::string bytes;
  for (const DrivenSequence& sequence : driver.sequences()) {
    for (const SampledToken& token : sequence.drawn) check::put_bits(token, &bytes);
    for (const SampledToken& token : sequence.prompt_scores) check::put_bits(token, &bytes);
  }
  return bytes;
}

TEST("deterministic: the same bits for any chunk, with graphs and without") {
  for (const auto& [name, spec] : check::tiny_families()) {
    const TinyModel model = TinyBuilder(spec, 42).build();
    const TemporaryFolder folder;
    check::write_folder(model, folder);
    const std::unique_ptr<Backend> first = load_on_device(folder.path(), true);
    if (first == nullptr) continue;
    const std::string wanted = outcome(first.get(), 512);
    REQUIRE(wanted.size() > 1000);
    for (const uint32_t chunk : {1u, 16u, 64u}) {
      ::setenv("SLUICE_CUDA_GRAPHS", chunk == 16 ? "0" : "1", 1);
      const std::unique_ptr<Backend> backend = load_on_device(folder.path(), true);
      ::unsetenv("SLUICE_CUDA_GRAPHS");
      const bool same = outcome(backend.get(), chunk) == wanted;
      if (!same) std::printf("  %s differs in chunks of %u\n", name.c_str(), chunk);
      CHECK(same);
    }
  }
}

TEST("sanitizer: small models in bf16 and int4, drawn in every way") {
  for (const size_t family : {1, 7}) {
    const TemporaryFolder folder;
    check::write_folder(TinyBuilder(check::tiny_families()[family].second, 46).build(), folder);
    const std::unique_ptr<Backend> backend = load_on_device(folder.path(), false);
    REQUIRE(backend != nullptr);
    CHECK(outcome(backend.get(), 64).size() > 1000);
  }
}

TEST("deterministic: a sequence alone draws what it draws in a crowd") {
  const TinyModel model = TinyBuilder(check::tiny_families()[1].second, 43).build();
  const TemporaryFolder folder;
  check::write_folder(model, folder);
  const std::unique_ptr<Backend> backend = load_on_device(folder.path(), true);
  REQUIRE(backend != nullptr);
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

// One step of one sequence that holds `ids`, and the logprob of its draw.
struct Stepper {
  Backend* backend;
  const std::vector<uint32_t>& ids;
  const SamplingArgs& args;
  uint64_t admission = 1;

  float step(const uint32_t* blocks, uint32_t context, uint32_t tokens) {
    Batch batch;
    BatchSequence& sequence = batch.sequences.emplace_back();
    sequence.admission = admission;
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
  }
};

TEST("a block that was saved and loaded elsewhere is the same block, pinned or not") {
  const TinyModel model = TinyBuilder(check::TinySpec(), 44).build();
  const TemporaryFolder folder;
  check::write_folder(model, folder);
  for (const bool pinned : {true, false}) {
    const std::unique_ptr<Backend> backend = load_on_device(folder.path(), false);
    REQUIRE(backend != nullptr);
    REQUIRE(backend->reserve(8, 2, 64).is_ok());
    SamplingArgs args;
    args.temperature = 0;
    args.logprobs = 20;
    const std::vector<uint32_t> ids = prompt_of(21, 97, 1);
    const uint32_t first_blocks[] = {3, 5};
    const uint32_t moved_blocks[] = {0, 7};
    Stepper stepper{backend.get(), ids, args};
    stepper.step(first_blocks, 0, 20);
    const float wanted = stepper.step(first_blocks, 20, 1);
    const uint64_t bytes = backend->info().kv_bytes_per_block;
    std::vector<uint8_t> host(2 * bytes);
    if (pinned) backend->pin(host.data(), host.size());
    for (int i = 0; i < 2; ++i) {
      CHECK(backend->save_block(first_blocks[i], host.data() + i * bytes).is_ok());
      CHECK(backend->load_block(moved_blocks[i], host.data() + i * bytes).is_ok());
    }
    stepper.admission = 2;
    CHECK_EQ(stepper.step(moved_blocks, 20, 1), wanted);
    CHECK(wanted != 0);
    if (pinned) backend->pin(nullptr, 0);
  }
}

TEST("a model that does not fit the memory share is refused with figures, before it is read") {
  const TinyModel model = TinyBuilder(check::TinySpec(), 45).build();
  const TemporaryFolder folder;
  check::write_folder(model, folder);
  LoadOptions options;
  options.folder = folder.path();
  options.device_memory = 1e-9;
  std::unique_ptr<Backend> backend;
  const Status status = load_cuda_backend(options, &backend);
  CHECK(status.code() == StatusCode::kTooLarge);
  CHECK(status.message().find("MiB") != std::string::npos);
}

}  // namespace
}  // namespace sluice
