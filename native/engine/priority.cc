// The arithmetic of ageing. Bounds and units are in limits.h.
#include "engine/priority.h"

#include <algorithm>

#include "engine/limits.h"

namespace sluice {

double effective_priority(const Sequence& sequence, uint64_t now_ms) {
  const uint64_t arrived = sequence.source.arrived_at_ms;
  const uint64_t waited = now_ms > arrived ? now_ms - arrived : 0;
  const double classes = static_cast<double>(waited) / static_cast<double>(kAgeingMsPerClass);
  const double submitted = sequence.source.priority;
  const double aged = std::max(std::min(submitted, 0.0), submitted - classes);
  return aged - 0.5 * std::min(sequence.preemptions, kPreemptionBoostsMax);
}

bool arrived_before(const Sequence& a, const Sequence& b) {
  if (a.source.arrived_at_ms != b.source.arrived_at_ms) {
    return a.source.arrived_at_ms < b.source.arrived_at_ms;
  }
  return a.serial < b.serial;
}

OrderKey order_key(const Sequence& sequence, uint64_t now_ms) {
  return {effective_priority(sequence, now_ms), sequence.source.arrived_at_ms, sequence.serial};
}

bool goes_before(const Sequence& a, const Sequence& b, uint64_t now_ms) {
  return order_key(a, now_ms) < order_key(b, now_ms);
}

}  // namespace sluice
