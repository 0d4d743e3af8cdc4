// Who goes first: the effective priority of a sequence at one moment. Pure.
#pragma once

#include <compare>
#include <cstdint>

#include "engine/sequence.h"

namespace sluice {

// Lower goes first. The submitted class, less one for each kAgeingMsPerClass waited (down to class
// 0), less half a class for each preemption, at most kPreemptionBoostsMax.
double effective_priority(const Sequence& sequence, uint64_t now_ms);

// What decides the order of two sequences, so that many comparisons need read each but once.
struct OrderKey {
  double priority = 0;
  uint64_t arrived_at_ms = 0;
  uint64_t serial = 0;

  auto operator<=>(const OrderKey&) const = default;
};

OrderKey order_key(const Sequence& sequence, uint64_t now_ms);

// Ties within a priority: earlier arrival, then earlier submission.
bool arrived_before(const Sequence& a, const Sequence& b);
bool goes_before(const Sequence& a, const Sequence& b, uint64_t now_ms);

}  // namespace sluice
