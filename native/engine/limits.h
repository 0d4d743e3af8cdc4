// The engine's bounds, each with what happens when it is reached.
#pragma once

#include <cstdint>

#include "model/backend.h"

namespace sluice {

struct EngineLimits {
  // Sequences that run at once; more wait.
  uint32_t sequences_max = 64;
  // Tokens of one step. Above sequences_max, so that prefill always gets a share beside the
  // decodes.
  uint32_t batch_tokens_max = 1024;
  // One sequence's share of a step; 0: bounded by batch_tokens_max only.
  uint32_t chunk_tokens_max = 0;
  // Sequences that wait to run; more are refused as queueFull.
  // Memory: 4 bytes a token, 4,096 prompts of 8,192 tokens = 128 MiB at worst.
  uint32_t waiting_max = 4096;
  // KV blocks of the pool; a sequence that could outgrow it is refused as tooLong.
  uint32_t blocks = 0;
  // Host blocks for preempted sequences; without room a victim is recomputed instead.
  uint32_t swap_blocks = 0;
  // Blocks kept free for each running sequence when another is admitted: one lets all of them grow
  // for 16 tokens. 0 admits what fits now and preempts later.
  uint32_t reserve_blocks = 1;
  bool prefix_cache = true;
};

// Step results that the receiver has not read yet; the engine then waits before its next step. At
// 10 ms a step this is more than half a second of a held event loop.
inline constexpr uint32_t kStepsUnreadMax = 64;

// A waiting sequence gains one priority class in this time, down to class 0 and no further, so that
// flex never starves and priority is never inverted for good.
inline constexpr uint64_t kAgeingMsPerClass = 10'000;

// Each preemption moves a sequence forward by half a class, at most this often.
inline constexpr uint32_t kPreemptionBoostsMax = 2;

// A resumed sequence runs at least so many steps before it may be preempted again, and one is
// preempted in favour of a better priority only after as many.
inline constexpr uint64_t kPreemptionRestSteps = 16;

// For kPreemptionRestSteps after the running sequences outgrew the pool, admission keeps this many
// times the reserve, so that what was preempted does not come back at once and start the next
// round.
inline constexpr uint32_t kReserveFactorAfterPreemption = 4;

// Threads that compute the masks of grammars, beside the engine's own: a batch of constrained
// sequences has their masks ready within a step.
inline constexpr uint32_t kGrammarThreads = 2;

inline constexpr uint32_t blocks_for(uint64_t tokens) {
  return static_cast<uint32_t>((tokens + kBlockTokens - 1) / kBlockTokens);
}

}  // namespace sluice
