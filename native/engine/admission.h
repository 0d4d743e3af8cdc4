// Whether a waiting sequence may start now, by KV blocks. Pure.
#pragma once

#include <cstdint>

#include "engine/scheduler.h"

namespace sluice {

// Blocks that it takes from the free list, prefix hits already held by others being free of charge.
struct AdmissionCost {
  uint32_t blocks = 0;
  uint32_t known_tokens =
      0;  // need no computing: prefix hits, or KV that comes back from host memory
};

AdmissionCost admission_cost(const ScheduleInput& input, const Sequence& sequence);

// Blocks that one running sequence may still grow by before the reserve is spent.
uint32_t growth_reserve(const ScheduleInput& input, const Sequence& sequence);

// Blocks that sequence will take in this step for its next draw: 0 or 1.
uint32_t growth_now(const Sequence& sequence);

}  // namespace sluice
