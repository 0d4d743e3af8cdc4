// The scheduler as the pure function it is: plans for hand-made states.
#include "engine/scheduler.h"

#include <memory>
#include <utility>
#include <vector>

#include "check.h"
#include "core_rig.h"
#include "engine/priority.h"

namespace sluice {
namespace {

class State {
 public:
  explicit State(uint32_t blocks) : kv(blocks, false, PrefixKey{1, 2}) { limits.blocks = blocks; }

  Sequence& add_running(Submission submission, uint32_t computed) {
    Sequence& s = add(&running, std::move(submission));
    kv.start_empty(&s);
    kv.extend(&s.table, static_cast<uint32_t>(s.ids.size()));
    s.computed = s.launched = computed;
    return s;
  }

  Sequence& add_waiting(Submission submission) { return add(&waiting, std::move(submission)); }

  Plan plan() const {
    return schedule({.running = running,
                     .waiting = waiting,
                     .kv = kv,
                     .limits = limits,
                     .step = 100,
                     .outgrown_step = 0,
                     .now_ms = 1'000'000});
  }

  KvSpace kv;
  EngineLimits limits = {.sequences_max = 4, .batch_tokens_max = 32};
  std::vector<const Sequence*> running;
  std::vector<const Sequence*> waiting;

 private:
  Sequence& add(std::vector<const Sequence*>* list, Submission submission) {
    all_.push_back(std::make_unique<Sequence>(std::move(submission), all_.size(), eos_));
    list->push_back(all_.back().get());
    return *all_.back();
  }

  const std::vector<uint32_t> eos_;
  std::vector<std::unique_ptr<Sequence>> all_;
};

Submission with_output(uint32_t prompt, uint32_t output, uint32_t max_tokens) {
  Submission s = make_submission(prompt, max_tokens);
  s.generated.assign(output, 1);
  return s;
}

TEST("decodes come before prompts, prompts before admissions") {
  State state(64);
  state.add_running(make_submission(40, 8), 16);
  state.add_running(with_output(4, 2, 8), 5);
  state.add_waiting(make_submission(3, 8));
  const Plan plan = state.plan();
  REQUIRE(plan.running.size() == 2);
  CHECK_EQ(plan.running[0].index, 1U);
  CHECK_EQ(plan.running[0].query_tokens, 1U);
  CHECK_EQ(plan.running[1].index, 0U);
  CHECK_EQ(plan.running[1].query_tokens, 16U);
  REQUIRE(plan.admit.size() == 1);
  CHECK_EQ(plan.admit[0].query_tokens, 3U);
  CHECK(plan.preempt.empty());
}

TEST("the plan changes nothing and is the same again") {
  State state(8);
  state.add_running(with_output(4, 2, 8), 5);
  state.add_waiting(make_submission(3, 8));
  const uint32_t free = state.kv.free_count();
  const Plan first = state.plan();
  const Plan second = state.plan();
  CHECK_EQ(state.kv.free_count(), free);
  REQUIRE(first.admit.size() == second.admit.size() && first.admit.size() == 1);
  CHECK_EQ(first.admit[0].query_tokens, second.admit[0].query_tokens);
}

TEST("an admission leaves the reserve of those that run") {
  State state(6);
  state.add_running(with_output(16, 1, 60), 16);  // holds 2 of 6
  state.add_waiting(make_submission(33, 60));     // wants 3, and 1 in reserve for each
  CHECK(state.plan().admit.empty());
  State roomier(7);
  roomier.add_running(with_output(16, 1, 60), 16);
  roomier.add_waiting(make_submission(33, 60));
  CHECK_EQ(roomier.plan().admit.size(), 1U);
}

TEST("nobody overtakes the first in order that does not fit yet") {
  State state(6);
  state.add_running(with_output(16, 1, 60), 16);
  state.add_waiting(make_submission(60, 4));
  state.add_waiting(make_submission(2, 4));
  CHECK(state.plan().admit.empty());
}

TEST("what cannot run even alone is named, not waited for") {
  State state(2);
  state.add_waiting(make_submission(33, 4));
  const Plan plan = state.plan();
  REQUIRE(plan.cannot_fit.has_value());
  CHECK_EQ(*plan.cannot_fit, 0U);
}

TEST("the victim is the worst priority, then the cheapest to compute again, never the oldest") {
  State state(6);
  const auto at = [](int arrived, int32_t priority) {
    Submission s = with_output(15, 1, 60);
    s.arrived_at_ms = static_cast<uint64_t>(arrived);
    s.priority = priority;
    return s;
  };
  // Each holds one block of 16 tokens and now wants its second; none is free after the fillers.
  for (const auto& [arrived, priority] : {std::pair{999'000, 2}, {999'500, 0}, {998'000, 2}}) {
    Sequence& sequence = state.add_running(at(arrived, priority), 16);
    sequence.ids.push_back(1);
  }
  KvTable filler;
  state.kv.extend(&filler, 16 * state.kv.free_count());
  const Plan plan = state.plan();
  // 3 blocks are wanted: index 0 gives one and wants none; then the other 2 want 2, and 1 is there.
  CHECK(plan.outgrown);
  REQUIRE(plan.preempt.size() == 2);
  CHECK_EQ(plan.preempt[0], 0U);
  CHECK_EQ(plan.preempt[1], 1U);
  CHECK(plan.admit.empty());
  REQUIRE(plan.running.size() == 1);
  CHECK_EQ(plan.running[0].index, 2U);
}

TEST("ageing lifts a class each time, stops at the best, and preemption adds a bounded boost") {
  Submission submission = make_submission(4, 4);
  submission.priority = 2;
  submission.arrived_at_ms = 0;
  Sequence sequence(std::move(submission), 1, {});
  CHECK_NEAR(effective_priority(sequence, 0), 2, 0);
  CHECK_NEAR(effective_priority(sequence, kAgeingMsPerClass), 1, 0);
  CHECK_NEAR(effective_priority(sequence, 100 * kAgeingMsPerClass), 0, 0);
  sequence.preemptions = 1;
  CHECK_NEAR(effective_priority(sequence, 0), 1.5, 0);
  sequence.preemptions = 50;
  CHECK_NEAR(effective_priority(sequence, 0), 1, 0);
}

}  // namespace
}  // namespace sluice
