// Takes a submission apart; all memory that a sequence ever needs on the host is reserved here.
#include "engine/sequence.h"

#include <algorithm>
#include <utility>

namespace sluice {

Sequence::Sequence(Submission submission, uint64_t order, const std::vector<uint32_t>& eos_ids)
    : serial(order),
      prompt_tokens(static_cast<uint32_t>(submission.prompt.size())),
      source(std::move(submission)),
      sampling(source.sampling) {
  const size_t output_max = std::max<size_t>(source.max_tokens, source.generated.size());
  ids.reserve(prompt_tokens + output_max);
  ids.insert(ids.end(), source.prompt.begin(), source.prompt.end());
  ids.insert(ids.end(), source.generated.begin(), source.generated.end());
  source.prompt = {};
  source.generated = {};
  // A batch in flight points into the table, so it must not move when it grows.
  table.blocks.reserve((ids.capacity() + kBlockTokens - 1) / kBlockTokens);
  if (source.grammars != nullptr) {
    source.ignore_eos = false;
    source.min_tokens = 0;
  }
  banned_early = source.stop_ids;
  if (!source.ignore_eos) {
    banned_early.insert(banned_early.end(), eos_ids.begin(), eos_ids.end());
  }
  sampling.biases = source.biases;
}

void Sequence::prefetch() const {
  const auto* line = reinterpret_cast<const char*>(this);
  for (size_t at = 0; at < kHotBytes; at += alignof(Sequence)) __builtin_prefetch(line + at, 1);
}

uint32_t Sequence::uncomputed_tokens() const {
  // Without output the prompt is computed only to be scored.
  if (source.max_tokens == 0) return prompt_tokens - launched;
  if (generated_tokens() + draws_in_flight >= source.max_tokens) return 0;
  if (constraint != nullptr && draws_in_flight > 0) return 0;
  return total_tokens() - launched;
}

}  // namespace sluice
