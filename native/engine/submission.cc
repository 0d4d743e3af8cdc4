// What could harm the engine or could never end is refused; odd values that only give odd text are
// not.
#include "engine/submission.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

bool all_below(const std::vector<uint32_t>& ids, uint32_t end) {
  return std::all_of(ids.begin(), ids.end(), [end](uint32_t id) { return id < end; });
}

// A NaN would be drawn from silently; every other odd value only gives odd text.
bool is_finite(const Submission& submission) {
  const SamplingArgs& s = submission.sampling;
  const bool finite = std::isfinite(s.temperature) && std::isfinite(s.top_p) &&
                      std::isfinite(s.min_p) && std::isfinite(s.presence_penalty) &&
                      std::isfinite(s.frequency_penalty) && std::isfinite(s.repetition_penalty);
  return finite && std::all_of(submission.biases.begin(),
                               submission.biases.end(),
                               [](const LogitBias& bias) { return std::isfinite(bias.bias); });
}

}  // namespace

Refusal check_submission(const Submission& submission,
                         const BackendInfo& info,
                         const EngineLimits& limits) {
  if (submission.grammars != nullptr && !info.takes_masks) return Refusal::kUnsupported;
  if (submission.prompt.empty() || !is_finite(submission)) return Refusal::kInvalid;
  if (!all_below(submission.prompt, info.vocab_size)) return Refusal::kInvalid;
  if (!all_below(submission.generated, info.vocab_size)) return Refusal::kInvalid;
  for (const LogitBias& bias : submission.biases) {
    if (bias.token >= info.vocab_size) return Refusal::kInvalid;
  }
  const uint64_t output = std::max<uint64_t>(submission.max_tokens, submission.generated.size());
  const uint64_t tokens = submission.prompt.size() + output;
  if (tokens > info.context_tokens_max) return Refusal::kTooLong;
  // The last token drawn is never fed, so it takes no KV position.
  const uint64_t positions = static_cast<uint64_t>(limits.blocks) * kBlockTokens;
  return tokens - 1 > positions ? Refusal::kTooLong : Refusal::kNone;
}

}  // namespace sluice
