// Decides what one step runs. A pure function of its inputs: it changes nothing, so the same inputs
// give the same plan, and the property tests can ask it anything. Carrying the plan out is core.cc.
//
// There is no prefill phase and no decode phase: every sequence only catches up on its uncomputed
// tokens, and a step hands out its token budget: decodes (one token each) first, then prompts in
// progress by priority, then admissions. A step that preempts admits nobody.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/kv_space.h"
#include "engine/limits.h"
#include "engine/sequence.h"

namespace sluice {

struct ScheduleInput {
  std::span<const Sequence* const> running;
  std::span<const Sequence* const> waiting;
  const KvSpace& kv;
  const EngineLimits& limits;
  uint64_t step = 0;
  uint64_t outgrown_step = 0;  // the last one that was; 0: never
  uint64_t now_ms = 0;
};

struct Share {
  uint32_t index = 0;  // in running, or in waiting for an admission
  uint32_t query_tokens = 0;
};

struct Plan {
  std::vector<uint32_t> preempt;  // indices in running
  // They are preempted because the running ones outgrew the pool, not to let a better one in.
  bool outgrown = false;
  std::vector<Share> running;
  std::vector<Share> admit;  // they get blocks for all their tokens, and this first share
  // In waiting: could not run even alone. Submit refuses such a sequence, so this is the net below.
  std::optional<uint32_t> cannot_fit;
};

Plan schedule(const ScheduleInput& input);

}  // namespace sluice
