// Who goes first: the effective priority of a sequence at one moment. Pure.
#pragma once

#include <cstdint>

#include "engine/sequence.h"

namespace sluice {

// Lower goes first. The submitted class, less one for each kAgeingMsPerClass waited (down to class
// 0), less half a class for each preemption, at most kPreemptionBoostsMax.
double effective_priority(const Sequence& sequence, uint64_t now_ms);

// Ties within a priority: earlier arrival, then earlier submission.
bool arrived_before(const Sequence& a, const Sequence& b);
bool goes_before(const Sequence& a, const Sequence& b, uint64_t now_ms);

}  // namespace sluice
