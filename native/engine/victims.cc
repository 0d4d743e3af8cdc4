// Each choice scans the running sequences: a few hundred at most, and only in steps that lack
// blocks.
#include "engine/victims.h"

#include <algorithm>
#include <optional>

#include "engine/admission.h"
#include "engine/priority.h"

namespace sluice {
namespace {

bool rests(const ScheduleInput& input, const Sequence& sequence) {
  return sequence.preemptions > 0 && input.step - sequence.admitted_step < kPreemptionRestSteps;
}

bool is_worse(const ScheduleInput& input, const Sequence& a, const Sequence& b) {
  const double priority_a = effective_priority(a, input.now_ms);
  const double priority_b = effective_priority(b, input.now_ms);
  if (priority_a != priority_b) return priority_a > priority_b;
  const uint32_t redo_a = input.kv.unpublished_tokens(a);
  const uint32_t redo_b = input.kv.unpublished_tokens(b);
  if (redo_a != redo_b) return redo_a < redo_b;
  return arrived_before(b, a);
}

uint32_t oldest(const ScheduleInput& input) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < input.running.size(); ++i) {
    if (arrived_before(*input.running[i], *input.running[best])) best = i;
  }
  return best;
}

std::optional<uint32_t> worst(const ScheduleInput& input,
                              const std::vector<bool>& spared,
                              bool spare_resting) {
  std::optional<uint32_t> found;
  for (uint32_t i = 0; i < input.running.size(); ++i) {
    const Sequence& candidate = *input.running[i];
    if (spared[i] || (spare_resting && rests(input, candidate))) continue;
    if (!found || is_worse(input, candidate, *input.running[*found])) found = i;
  }
  return found;
}

bool lacks_room(const ScheduleInput& input, const Sequence& waiting) {
  if (input.running.size() >= input.limits.sequences_max) return true;
  uint32_t reserve = growth_reserve(input, waiting);
  for (const Sequence* running : input.running) reserve += growth_reserve(input, *running);
  return admission_cost(input, waiting).blocks + reserve > input.kv.free_count();
}

}  // namespace

std::vector<uint32_t> victims_for_growth(const ScheduleInput& input) {
  std::vector<uint32_t> victims;
  uint64_t wanted = 0;
  for (const Sequence* sequence : input.running) wanted += growth_now(*sequence);
  uint64_t free = input.kv.free_count();
  if (wanted <= free) return victims;
  std::vector<bool> spared(input.running.size(), false);
  spared[oldest(input)] = true;
  while (wanted > free) {
    std::optional<uint32_t> victim = worst(input, spared, true);
    if (!victim) victim = worst(input, spared, false);
    if (!victim) break;
    const Sequence& sequence = *input.running[*victim];
    spared[*victim] = true;
    victims.push_back(*victim);
    wanted -= growth_now(sequence);
    // Blocks shared with another victim are counted for neither: an undercount, corrected next
    // step.
    free += input.kv.exclusive_blocks(sequence.table);
  }
  return victims;
}

std::vector<uint32_t> victim_for_priority(const ScheduleInput& input) {
  if (input.waiting.empty() || input.running.size() < 2) return {};
  const Sequence* first = input.waiting[0];
  for (const Sequence* sequence : input.waiting) {
    if (goes_before(*sequence, *first, input.now_ms)) first = sequence;
  }
  std::vector<bool> spared(input.running.size(), false);
  spared[oldest(input)] = true;
  const double bar = effective_priority(*first, input.now_ms) + 1;
  for (uint32_t i = 0; i < input.running.size(); ++i) {
    const Sequence& sequence = *input.running[i];
    const bool ran_a_while = input.step - sequence.admitted_step >= kPreemptionRestSteps;
    if (!ran_a_while || effective_priority(sequence, input.now_ms) < bar) spared[i] = true;
  }
  const std::optional<uint32_t> victim = worst(input, spared, true);
  if (!victim || !lacks_room(input, *first)) return {};
  return {*victim};
}

}  // namespace sluice
