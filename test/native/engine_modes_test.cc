// Known ways in which engines of this kind fail, one test each: thrash, head-of-line blocking,
// leaks with a step in flight, poisoned prefix hits, cancels in every state, off-by-ones at block
// ends.
#include <set>
#include <vector>

#include "check.h"
#include "core_rig.h"
#include "engine/submission.h"

namespace sluice {
namespace {

RigOptions with_limits(EngineLimits limits, bool runs_ahead = false) {
  return {.limits = limits, .runs_ahead = runs_ahead};
}

TEST("an overcommitted pool ends all sequences with little recomputing") {
  for (const uint32_t swap_blocks : {0U, 8U, 64U}) {
    // 12 sequences of 8 blocks each want 96; there are 20.
    CoreRig rig(with_limits({.sequences_max = 12,
                             .batch_tokens_max = 64,
                             .blocks = 20,
                             .swap_blocks = swap_blocks,
                             .prefix_cache = false}));
    std::vector<uint32_t> handles;
    for (uint32_t i = 0; i < 12; ++i) handles.push_back(rig.submit(make_submission(20, 100, i)));
    rig.run();
    for (const uint32_t handle : handles) CHECK(rig.is_solo(handle));
    const uint64_t ideal = 12 * (20 + 99);
    CHECK(rig.core.counts().preemptions > 0);
    CHECK(rig.core.counts().preemptions <= 24);
    CHECK(rig.backend.tokens_computed <= 2 * ideal);
    // With room for all victims nothing at all is computed twice.
    if (swap_blocks == 64) CHECK_EQ(rig.backend.tokens_computed, ideal);
  }
}

TEST("a step that preempts admits nobody") {
  CoreRig rig(with_limits({.sequences_max = 8,
                           .batch_tokens_max = 64,
                           .blocks = 10,
                           .reserve_blocks = 0,
                           .prefix_cache = false}));
  for (uint32_t i = 0; i < 20; ++i) rig.submit(make_submission(14, 60, i));
  uint32_t preempting_steps = 0;
  while (rig.core.has_work()) {
    const uint32_t before = rig.core.running_count();
    const StepReport report = rig.step();
    if (report.preempted == 0) continue;
    ++preempting_steps;
    CHECK(report.running <= before - report.preempted);
  }
  CHECK(preempting_steps > 0);
}

TEST("a huge prompt does not stop the sequences that decode") {
  CoreRig rig(with_limits(
      {.sequences_max = 4, .batch_tokens_max = 16, .blocks = 64, .prefix_cache = false}));
  const uint32_t a = rig.submit(make_submission(4, 60, 1));
  const uint32_t b = rig.submit(make_submission(4, 60, 2));
  rig.step();
  rig.submit(make_submission(200, 4, 3));
  for (int i = 0; i < 12; ++i) {
    const size_t before = rig.results[a].ids.size() + rig.results[b].ids.size();
    const StepReport report = rig.step();
    CHECK_EQ(rig.results[a].ids.size() + rig.results[b].ids.size(), before + 2);
    CHECK(report.batch_tokens > 2);
  }
  rig.run();
}

TEST("one long prompt takes at most half of a step while others wait") {
  CoreRig rig(with_limits({.sequences_max = 4, .batch_tokens_max = 32, .blocks = 64}));
  rig.submit(make_submission(200, 4, 1));
  const uint32_t small = rig.submit(make_submission(5, 4, 2));
  rig.step();
  CHECK_EQ(rig.results[small].ids.size(), 1U);
  rig.run();
}

TEST("nothing leaks when sequences end with a step in flight") {
  // Each end-of-sequence is seen one step late: a token was drawn past it and is dropped.
  for (uint32_t eos = 0; eos < fake::kVocab; ++eos) {
    RigOptions options =
        with_limits({.sequences_max = 4, .batch_tokens_max = 32, .blocks = 16}, true);
    options.eos_ids = {eos};
    CoreRig rig(options);
    std::vector<uint32_t> handles;
    for (uint32_t i = 0; i < 6; ++i) {
      Submission submission = make_submission(15 + i, 40, i);
      submission.ignore_eos = false;
      handles.push_back(rig.submit(std::move(submission)));
    }
    rig.run();
    for (const uint32_t handle : handles) CHECK(rig.is_solo(handle));
  }
}

TEST("cancels in every state free everything and report once") {
  for (const bool runs_ahead : {false, true}) {
    CoreRig rig(with_limits({.sequences_max = 3,
                             .batch_tokens_max = 16,
                             .blocks = 9,
                             .swap_blocks = 16,
                             .reserve_blocks = 0,
                             .prefix_cache = false},
                            runs_ahead));
    std::vector<uint32_t> handles;
    for (uint32_t i = 0; i < 6; ++i) handles.push_back(rig.submit(make_submission(20, 100, i)));
    // Waiting, before any step.
    rig.core.cancel(handles[5]);
    for (int i = 0; i < 2; ++i) rig.step();
    CHECK_EQ(rig.results[handles[5]].ending.finish, Finish::kCancelled);
    // Running, in the middle of its prompt or with a draw in flight.
    rig.core.cancel(handles[0]);
    while (rig.core.counts().preemptions == 0) rig.step();
    CHECK_EQ(rig.results[handles[0]].ending.finish, Finish::kCancelled);
    // Swapped out, and everything else besides.
    for (const uint32_t handle : handles) rig.core.cancel(handle);
    rig.run();
    for (const uint32_t handle : handles) {
      CHECK_EQ(rig.results[handle].ending.finish, Finish::kCancelled);
      CHECK_EQ(rig.results[handle].entries_after_end, 0U);
    }
  }
}

TEST("equal prompts of whole blocks hit, and leave a token to compute") {
  for (const uint32_t length : {15U, 16U, 17U, 31U, 32U, 33U, 48U}) {
    CoreRig rig(with_limits({.sequences_max = 4, .batch_tokens_max = 64, .blocks = 32}));
    const uint32_t first = rig.submit(make_submission(length, 8));
    rig.run();
    const uint32_t second = rig.submit(make_submission(length, 8));
    rig.run();
    CHECK(rig.is_solo(first));
    CHECK(rig.is_solo(second));
    CHECK_EQ(rig.results[first].cached_tokens, 0U);
    CHECK_EQ(rig.results[second].cached_tokens, (length - 1) / 16 * 16);
  }
}

TEST("a following turn hits the generated tokens too, but nothing past a stop") {
  for (const bool runs_ahead : {false, true}) {
    CoreRig rig(
        with_limits({.sequences_max = 4, .batch_tokens_max = 64, .blocks = 32}, runs_ahead));
    const uint32_t first = rig.submit(make_submission(20, 30));
    rig.run();
    Submission turn = make_submission(20, 5);
    const std::vector<uint32_t>& said = rig.results[first].ids;
    turn.prompt.insert(turn.prompt.end(), said.begin(), said.end());
    turn.prompt.push_back(3);
    const uint32_t second = rig.submit(std::move(turn));
    rig.run();
    CHECK(rig.is_solo(second));
    // 49 tokens have KV (the last drawn has none): three whole blocks.
    CHECK_EQ(rig.results[second].cached_tokens, 48U);
  }
}

TEST("a cancelled step's blocks are no hits") {
  CoreRig rig(with_limits({.sequences_max = 2, .batch_tokens_max = 64, .blocks = 32}, true));
  rig.submit(make_submission(40, 8));
  StepReport report;
  // Launched and in flight; its KV is not known good.
  CHECK(rig.core.step(rig.now_ms, &report).is_ok());
  rig.core.cancel(1);
  const uint32_t second = rig.submit(make_submission(40, 8));
  rig.run();
  CHECK(rig.is_solo(second));
  CHECK_EQ(rig.results[second].cached_tokens, 0U);
}

TEST("a request that scores its prompt computes all of it, hits or not") {
  CoreRig rig(with_limits({.sequences_max = 2, .batch_tokens_max = 64, .blocks = 32}));
  rig.submit(make_submission(40, 2));
  rig.run();
  Submission scored = make_submission(40, 2);
  scored.sampling.prompt_logprobs = 0;
  const uint64_t before = rig.backend.tokens_computed;
  const uint32_t handle = rig.submit(std::move(scored));
  rig.run();
  CHECK(rig.is_solo(handle));
  CHECK_EQ(rig.results[handle].cached_tokens, 0U);
  CHECK_EQ(rig.backend.tokens_computed - before, 41U);
}

TEST("tenants do not see each other's prefixes") {
  CoreRig rig(with_limits({.sequences_max = 2, .batch_tokens_max = 64, .blocks = 32}));
  Submission one = make_submission(40, 2);
  one.cache_salt = "one";
  Submission other = make_submission(40, 2);
  other.cache_salt = "other";
  rig.submit(one);
  rig.run();
  const uint32_t second = rig.submit(other);
  const uint32_t third = rig.submit(one);
  rig.run();
  CHECK_EQ(rig.results[second].cached_tokens, 0U);
  CHECK_EQ(rig.results[third].cached_tokens, 32U);
}

TEST("every length around block ends, up to the whole pool and the whole context") {
  for (uint32_t prompt = 1; prompt <= 49; ++prompt) {
    for (const uint32_t output : {1U, 2U, 15U, 16U, 17U}) {
      CoreRig rig(with_limits(
          {.sequences_max = 1, .batch_tokens_max = 20, .blocks = blocks_for(prompt + output - 1)}));
      const uint32_t handle = rig.submit(make_submission(prompt, output));
      rig.run();
      CHECK(rig.is_solo(handle));
    }
  }
}

TEST("priority goes first, flex preempted for it comes back, and flex never starves") {
  EngineLimits limits = {.sequences_max = 2,
                         .batch_tokens_max = 32,
                         .blocks = 64,
                         .swap_blocks = 64,
                         .prefix_cache = false};
  CoreRig rig(with_limits(limits));
  std::vector<uint32_t> flex;
  for (uint32_t i = 0; i < 4; ++i) {
    Submission submission = make_submission(10, 90, i);
    submission.priority = 2;
    flex.push_back(rig.submit(std::move(submission)));
  }
  for (int i = 0; i < 20; ++i) rig.step();
  const uint32_t urgent = rig.submit(make_submission(10, 20, 9));
  for (int i = 0; i < 25; ++i) rig.step();
  // Both slots were taken by flex; one was preempted, the oldest never is.
  CHECK_EQ(rig.results[urgent].ending.finish, Finish::kLength);
  CHECK_EQ(rig.core.counts().preemptions, 1U);
  // A stream of priority requests without end: flex ages and gets its turn all the same.
  uint32_t fed = 0;
  uint32_t steps = 0;
  const auto flex_is_done = [&] {
    for (const uint32_t handle : flex) {
      if (rig.results[handle].ending.finish == Finish::kNone) return false;
    }
    return true;
  };
  while (!flex_is_done() && ++steps < 5000) {
    if (rig.core.waiting_count() < 4) {
      Submission more = make_submission(10, 30, 100 + fed++);
      more.arrived_at_ms = rig.now_ms;
      rig.submit(std::move(more));
    }
    rig.now_ms += 100;
    rig.step();
  }
  CHECK(flex_is_done());
  rig.run();
  for (const uint32_t handle : flex) CHECK(rig.is_solo(handle));
}

TEST("submissions that could never end or never run are refused") {
  const BackendInfo info = [] {
    BackendInfo made;
    made.vocab_size = 10;
    made.context_tokens_max = 100;
    return made;
  }();
  const EngineLimits limits = {.blocks = 4};
  Submission s;
  s.max_tokens = 1;
  CHECK_EQ(check_submission(s, info, limits), Refusal::kInvalid);
  s.prompt = {9};
  CHECK_EQ(check_submission(s, info, limits), Refusal::kNone);
  s.max_tokens = 64;
  CHECK_EQ(check_submission(s, info, limits), Refusal::kNone);
  s.max_tokens = 65;
  CHECK_EQ(check_submission(s, info, limits), Refusal::kTooLong);
  s.max_tokens = UINT32_MAX;
  CHECK_EQ(check_submission(s, info, limits), Refusal::kTooLong);
  s.max_tokens = 1;
  s.prompt = {10};
  CHECK_EQ(check_submission(s, info, limits), Refusal::kInvalid);
  s.prompt = {9};
  s.generated = {10};
  CHECK_EQ(check_submission(s, info, limits), Refusal::kInvalid);
}

TEST("a sequence that outgrows the pool alone is failed, and the others go on") {
  CoreRig rig(with_limits({.sequences_max = 2, .batch_tokens_max = 64, .blocks = 4}));
  // Past check_submission, which would refuse it.
  const uint32_t big = rig.submit(make_submission(80, 4, 1));
  const uint32_t small = rig.submit(make_submission(10, 4, 2));
  rig.run();
  CHECK_EQ(rig.results[big].ending.finish, Finish::kFailed);
  CHECK(rig.is_solo(small));
}

TEST("a failed device ends the core with its status") {
  CoreRig rig(with_limits({.sequences_max = 2, .batch_tokens_max = 64, .blocks = 32}));
  rig.backend.fail_at_launch = 3;
  rig.submit(make_submission(10, 20));
  StepReport report;
  CHECK(rig.core.step(0, &report).is_ok());
  CHECK(rig.core.step(0, &report).is_ok());
  CHECK_EQ(rig.core.step(0, &report).code(), StatusCode::kLost);
}

}  // namespace
}  // namespace sluice
