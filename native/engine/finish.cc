// The order of the checks is the contract: an end at the last allowed token is a stop, not a
// length.
#include "engine/finish.h"

#include <algorithm>

namespace sluice {
namespace {

bool holds(const std::vector<uint32_t>& ids, uint32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

Ending ending_of(const Sequence& sequence, const std::vector<uint32_t>& eos_ids) {
  const Submission& source = sequence.source;
  const uint32_t generated = sequence.generated_tokens();
  if (generated > source.min_tokens) {
    const uint32_t last = sequence.ids.back();
    if (!source.ignore_eos && holds(eos_ids, last)) return {Finish::kStop, 0};
    if (holds(source.stop_ids, last)) return {Finish::kStop, last + 1};
  }
  // Without output it ends once its prompt is computed, where that was asked for.
  const bool scoring = source.max_tokens == 0 && sequence.wants_prompt_scores();
  if (generated >= source.max_tokens && !scoring) return {Finish::kLength, 0};
  return {};
}

}  // namespace sluice
