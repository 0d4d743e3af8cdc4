// A Core on the fake backend, driven by hand, with what every sequence gave.
#pragma once

#include <map>
#include <vector>

#include "check.h"
#include "engine/core.h"
#include "fake_backend.h"

namespace sluice {

struct RigResult {
  std::vector<uint32_t> ids;
  Ending ending;
  uint32_t cached_tokens = 0;
  uint32_t entries_after_end = 0;
};

struct RigOptions {
  EngineLimits limits = {.sequences_max = 4, .batch_tokens_max = 64, .blocks = 32};
  bool runs_ahead = false;
  std::vector<uint32_t> eos_ids = {};
  uint32_t context_tokens_max = 256;
};

class CoreRig {
 public:
  explicit CoreRig(const RigOptions& options)
      : backend(options.runs_ahead, options.context_tokens_max),
        eos_ids(options.eos_ids),
        limits(options.limits),
        core(reserved(&backend, limits), limits, eos_ids, PrefixKey{11, 12}) {}

  uint32_t submit(Submission submission) {
    submission.handle = ++handles_;
    solo[handles_] = fake::solo_run(submission, eos_ids);
    core.submit(std::move(submission));
    return handles_;
  }

  StepReport step() {
    StepReport report;
    const Status status = core.step(now_ms, &report);
    CHECK(status.is_ok());
    core.check_invariants();
    for (const StepEntry& entry : report.entries) {
      RigResult& result = results[entry.sequence];
      if (result.ending.finish != Finish::kNone) ++result.entries_after_end;
      const std::span<const uint32_t> ids = report.ids_of(entry);
      result.ids.insert(result.ids.end(), ids.begin(), ids.end());
      result.ending = entry.ending;
      result.cached_tokens = entry.cached_tokens;
    }
    return report;
  }

  // Steps it took; gives up at the bound, which then fails the test.
  uint32_t run(uint32_t steps_max = 10'000) {
    uint32_t steps = 0;
    while (core.has_work() && steps < steps_max) {
      step();
      ++steps;
    }
    CHECK(steps < steps_max);
    CHECK_EQ(core.blocks_free(), limits.blocks);
    CHECK_EQ(backend.wrong_histories, 0U);
    return steps;
  }

  // What it gave is what it gives alone.
  bool is_solo(uint32_t handle) {
    const RigResult& result = results[handle];
    const fake::Solo& alone = solo[handle];
    return result.ids == alone.ids && result.ending.finish == alone.ending.finish &&
           result.entries_after_end == 0;
  }

  fake::FakeBackend backend;
  const std::vector<uint32_t> eos_ids;
  const EngineLimits limits;
  Core core;
  std::map<uint32_t, RigResult> results;
  std::map<uint32_t, fake::Solo> solo;
  uint64_t now_ms = 1'000'000;

 private:
  static fake::FakeBackend* reserved(fake::FakeBackend* backend, const EngineLimits& limits) {
    CHECK(backend->reserve(limits.blocks, limits.sequences_max, limits.batch_tokens_max).is_ok());
    backend->poison();
    return backend;
  }

  uint32_t handles_ = 0;
};

// A prompt of this family: the same family and length are the same ids.
inline Submission make_submission(uint32_t prompt_tokens,
                                  uint32_t max_tokens,
                                  uint32_t family = 0) {
  Submission s;
  for (uint32_t i = 0; i < prompt_tokens; ++i) {
    s.prompt.push_back((i * 5 + family * 11 + i / 16) % fake::kVocab);
  }
  s.max_tokens = max_tokens;
  s.ignore_eos = true;
  s.sampling.seed = family;
  s.arrived_at_ms = 1'000'000;
  return s;
}

}  // namespace sluice
