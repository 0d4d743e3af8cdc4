// Counts blocks for an admission; nothing is taken here.
#include "engine/admission.h"

#include <algorithm>

namespace sluice {

AdmissionCost admission_cost(const ScheduleInput& input, const Sequence& sequence) {
  const uint32_t whole = blocks_for(sequence.ids.size());
  if (!sequence.swap_slots.empty()) return {whole, sequence.launched};
  const PrefixHits hits = input.kv.find_hits(sequence);
  return {whole - hits.blocks + hits.free_blocks, hits.blocks * kBlockTokens};
}

uint32_t growth_reserve(const ScheduleInput& input, const Sequence& sequence) {
  const bool outgrown =
      input.outgrown_step > 0 && input.step - input.outgrown_step < kPreemptionRestSteps;
  const uint32_t reserve =
      input.limits.reserve_blocks * (outgrown ? kReserveFactorAfterPreemption : 1);
  // The last token drawn is never fed, so it needs no room.
  const uint32_t longest = sequence.prompt_tokens + std::max(sequence.source.max_tokens, 1U) - 1;
  const uint32_t held = std::max(sequence.table.held, blocks_for(sequence.ids.size()));
  const uint32_t whole = blocks_for(longest);
  return std::min(reserve, whole - std::min(whole, held));
}

uint32_t growth_now(const Sequence& sequence) {
  const uint32_t needed = blocks_for(sequence.total_tokens());
  const uint32_t wanted = sequence.uncomputed_tokens() == 0 ? 0 : needed;
  return wanted - std::min(wanted, sequence.table.held);
}

}  // namespace sluice
