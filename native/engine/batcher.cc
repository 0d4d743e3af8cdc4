// One share: from token counts to the pointers that a backend reads.
#include "engine/batcher.h"

#include "engine/limits.h"
#include "runtime/status.h"

namespace sluice {

void add_share(const std::shared_ptr<Sequence>& sequence, uint32_t query_tokens, Launch* launch) {
  Sequence& s = *sequence;
  const uint32_t end = s.launched + query_tokens;
  SLUICE_CHECK(query_tokens > 0 && end <= s.total_tokens());
  SLUICE_CHECK(s.table.held >= blocks_for(end));
  const bool sample = end == s.total_tokens() && s.source.max_tokens > 0;
  BatchSequence share;
  share.slot = s.slot;
  share.admission = s.admitted_step + 1;
  // The token being drawn by the step in flight is known to the backend only.
  const bool known = end <= s.ids.size();
  share.tokens = known ? s.ids.data() + s.launched : nullptr;
  share.query_tokens = query_tokens;
  share.context_tokens = s.launched;
  share.block_table = s.table.blocks.data();
  share.sample = sample;
  share.sampling = &s.sampling;
  share.position = s.generated_tokens() + s.draws_in_flight;
  share.history = s.ids;
  share.prompt_tokens = s.prompt_tokens;
  if (share.position < s.source.min_tokens) share.banned = s.banned_early;
  if (sample) share.mask = s.constraint.get();
  launch->batch.sequences.push_back(share);
  launch->shares.push_back({sequence, s.launched, query_tokens, sample});
  launch->tokens += query_tokens;
  s.launched = end;
  if (sample) ++s.draws_in_flight;
}

}  // namespace sluice
