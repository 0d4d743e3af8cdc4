// Whom to preempt, and when. Pure. The oldest running sequence is never preempted, so at least one
// always moves towards its end and preemption cannot go on for ever.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/scheduler.h"

namespace sluice {

// Enough sequences, worst first, that the others have blocks for their next token; empty where
// there are enough already. Worst: lowest effective priority, then least to compute again, then
// latest. One resumed less than kPreemptionRestSteps ago is taken only when nobody else is left.
std::vector<uint32_t> victims_for_growth(const ScheduleInput& input);

// One sequence at least a whole class worse than the best of those waiting, where that one lacks a
// slot or blocks; empty otherwise.
std::vector<uint32_t> victim_for_priority(const ScheduleInput& input);

}  // namespace sluice
