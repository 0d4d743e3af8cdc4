// The engine without threads: sequences in, one step at a time out. All of its state belongs to the
// thread that calls it (engine.cc's own, or a test's), so the property tests run exactly this code.
//
//   submit ─▶ waiting ─▶ running ─▶ ended           step: schedule, carry out, launch, collect
//                ▲──────────┘ preempted
//
// Where the backend runs ahead, the next step is launched before the one in flight is collected; a
// token that turns out to lie past a stop is dropped and its block never offered to the prefix
// cache.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "engine/batcher.h"
#include "engine/grammar_pool.h"
#include "engine/kv_space.h"
#include "engine/limits.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "engine/step_output.h"
#include "engine/swap_space.h"
#include "model/backend.h"

namespace sluice {

struct CoreCounts {
  uint64_t steps = 0;
  uint64_t prefix_hit_tokens = 0;
  uint64_t prompt_tokens = 0;  // of admitted sequences, each counted once
  uint64_t preemptions = 0;
};

class Core {
 public:
  // The backend must be reserved to the limits already, and outlive the core.
  Core(Backend* backend,
       const EngineLimits& limits,
       std::vector<uint32_t> eos_ids,
       PrefixKey prefix_secret);

  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // It has passed check_submission, and no live sequence has its handle.
  void submit(Submission submission);
  // Unknown handles are ignored. The entry comes with the next step.
  void cancel(uint32_t handle);

  bool has_work() const;
  // One step; `report` has entries only of sequences that moved. A failed status is final.
  Status step(uint64_t now_ms, StepReport* report);

  uint32_t running_count() const { return static_cast<uint32_t>(running_.size()); }
  uint32_t waiting_count() const { return static_cast<uint32_t>(waiting_.size()); }
  uint32_t blocks_free() const { return kv_.free_count(); }
  const CoreCounts& counts() const { return counts_; }
  // Any thread.
  MaskSummary masks() const { return mask_times_.summary(); }
  void check_invariants() const;

 private:
  using SequenceRef = std::shared_ptr<Sequence>;

  Plan make_plan(uint64_t now_ms) const;
  Status carry_out(const Plan& plan);
  Status preempt(const SequenceRef& sequence);
  void place(const SequenceRef& sequence);
  Status load_swapped(Sequence* sequence);
  Status launch(const Plan& plan, const std::vector<SequenceRef>& admitted);
  Status collect();
  void apply(const LaunchedShare& share, SequenceResult* result);
  // Tokens that grammars leave no choice about, without a step.
  void take_forced();
  void add_prompt_scores(const LaunchedShare& share, SequenceResult* result, StepEntry* entry);
  // The one place where a sequence leaves the engine.
  void end(const SequenceRef& sequence, Ending ending, StepEntry entry);
  StepEntry entry_of(const Sequence& sequence) const;

  Backend* const backend_;
  const EngineLimits limits_;
  const std::vector<uint32_t> eos_ids_;
  MaskTimes mask_times_;
  GrammarPool grammar_pool_;
  uint32_t constrained_ = 0;  // sequences with a grammar
  KvSpace kv_;
  SwapSpace swap_;
  uint64_t submissions_ = 0;
  uint64_t outgrown_step_ = 0;
  CoreCounts counts_;
  std::vector<SequenceRef> running_;
  std::vector<SequenceRef> waiting_;
  std::vector<uint32_t> free_slots_;
  std::deque<Launch> in_flight_;
  // Of the step being made.
  std::vector<StepEntry> entries_;
  std::vector<uint32_t> entry_ids_;
  uint32_t collected_tokens_ = 0;
  uint32_t collected_sequences_ = 0;
  uint32_t preempted_ = 0;
};

}  // namespace sluice
