// Draws one token from one row of logits, and scores tokens for logprobs. The draw is a pure
// function of the row, the SamplingArgs, the history and the output position: the batch, its order
// and the thread do not enter, so a resumed request draws what the first attempt drew.
//
// Order: penalties, bias, bans, mask; logprobs; temperature; top-k; top-p of what top-k left;
// min-p; Gumbel-max with words of Philox4x32-10 (key: seed; counter: position low, position high,
// id / 4, choice; word id % 4). Ties: lower ids first, everywhere. NaN logits are never drawn. It
// knows no model: a row of any vocabulary will do.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/sampling/args.h"
#include "kernels/sampling/cut.h"

namespace sluice {

// At or below this a temperature means greedy: dividing by it would leave the float range.
inline constexpr float kGreedyTemperature = 1e-5f;

struct SamplerRow {
  std::span<float> logits;  // [vocab] f32; changed in place
  const SamplingArgs* sampling = nullptr;
  uint64_t position = 0;
  std::span<const uint32_t> history;  // prompt and output ids so far
  uint32_t prompt_tokens = 0;         // how many of history are the prompt
  std::span<const uint32_t> banned;
  std::span<const uint32_t> allowed = {};  // one bit an id; empty: all
};

// Holds scratch of the vocabulary's size, so one Sampler serves one thread at a time.
class Sampler {
 public:
  explicit Sampler(uint32_t vocab_size);

  SampledToken sample(const SamplerRow& row);

 private:
  void penalise(const SamplerRow& row);

  std::vector<uint32_t> counts_;  // [vocab] times in the output so far; all 0 between calls
  CutFinder cut_finder_;
};

// The logprob of `id`, and the `top_count` most likely ids, in a row as it stands.
SampledToken score_token(std::span<const float> logits, uint32_t id, uint32_t top_count);

}  // namespace sluice
