// The order of a draw, its penalties and its randomness. What top-k, top-p and min-p leave is found
// in sampling/cut.cc.
#include "kernels/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/exp.h"
#include "kernels/sampling/philox.h"
#include "runtime/status.h"

namespace sluice {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

// What OpenAI's API says for a logprob that is no finite number, which JSON could not carry.
constexpr float kLeastLogprob = -9999;

// Lowest id of the highest logit. Blocks keep the search free of branches; NaN never wins.
uint32_t argmax(std::span<const float> logits) {
  constexpr size_t kBlock = 512;
  constexpr size_t kLanes = 8;
  size_t best_block = 0;
  float best = kMasked;
  for (size_t start = 0; start < logits.size(); start += kBlock) {
    const size_t end = std::min(start + kBlock, logits.size());
    float lanes[kLanes];
    std::fill_n(lanes, kLanes, kMasked);
    size_t i = start;
    for (; i + kLanes <= end; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] = logits[i + lane] > lanes[lane] ? logits[i + lane] : lanes[lane];
      }
    }
    for (; i < end; ++i) lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
    const float highest = *std::max_element(lanes, lanes + kLanes);
    if (highest > best) {
      best = highest;
      best_block = start;
    }
  }
  for (size_t i = best_block; i < logits.size(); ++i) {
    if (logits[i] == best) return static_cast<uint32_t>(i);
  }
  return 0;  // nothing above -infinity: every id is as good
}

bool has_penalties(const SamplingArgs& sampling) {
  return sampling.presence_penalty != 0 || sampling.frequency_penalty != 0 ||
         sampling.repetition_penalty != 1;
}

void divide_by_repetition(float* logit, float penalty) {
  *logit = *logit > 0 ? *logit / penalty : *logit * penalty;
}

// Bounds of Gumbel noise without its logarithms: -ln(-ln u) <= -ln(1 - u), and 1 - u is
// (~word + 0.5) * 2^-32, whose leading zeros are counted. Most ids are settled by this alone.
constexpr double kLn2 = 0.69314718055994531;
constexpr double kGumbelHighest = 33 * kLn2;

double gumbel_bound(uint32_t word) {
  return (std::countl_zero(~word) + 1) * kLn2;
}

double gumbel(uint32_t word) {
  const double u = (static_cast<double>(word) + 0.5) * 0x1p-32;
  return -std::log(-std::log(u));
}

uint32_t draw(const SamplerRow& row, const Cut& cut) {
  const uint32_t choice = row.sampling->choice;
  const uint64_t seed = row.sampling->seed;
  const auto position_low = static_cast<uint32_t>(row.position);
  const auto position_high = static_cast<uint32_t>(row.position >> 32);
  const auto vocab_size = static_cast<uint32_t>(row.logits.size());
  double best = -std::numeric_limits<double>::infinity();
  uint32_t best_id = 0;
  for (uint32_t group = 0; group * 4 < vocab_size; ++group) {
    const uint32_t end = std::min(group * 4 + 4, vocab_size);
    bool has_words = false;
    PhiloxBlock words{};
    for (uint32_t id = group * 4; id < end; ++id) {
      const float logit = row.logits[id];
      if (!(logit > kMasked) || !cut.keeps(logit, id)) continue;
      if (logit + kGumbelHighest <= best) continue;
      if (!has_words) words = philox4x32({position_low, position_high, group, choice}, seed);
      has_words = true;
      const uint32_t word = words[id % 4];
      if (logit + gumbel_bound(word) <= best) continue;
      const double score = logit + gumbel(word);
      if (score > best) {
        best = score;
        best_id = id;
      }
    }
  }
  return best_id;
}

// Whole words at a time: most masks allow nearly all ids, or nearly none.
void keep_allowed(std::span<const uint32_t> allowed, std::span<float> logits) {
  for (size_t begin = 0; begin < logits.size(); begin += 32) {
    const uint32_t word = begin / 32 < allowed.size() ? allowed[begin / 32] : 0;
    if (word == UINT32_MAX) continue;
    const size_t count = std::min<size_t>(32, logits.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      if ((word >> i & 1) == 0) logits[begin + i] = kMasked;
    }
  }
}

}  // namespace

Sampler::Sampler(uint32_t vocab_size) : counts_(vocab_size, 0) {}

// Repetition looks at prompt and output, presence and frequency at the output only, as OpenAI and
// vLLM define them.
void Sampler::penalise(const SamplerRow& row) {
  const SamplingArgs& sampling = *row.sampling;
  constexpr uint32_t kSeen = uint32_t{1} << 31;
  for (size_t i = 0; i < row.history.size(); ++i) {
    uint32_t& count = counts_[row.history[i]];
    count |= kSeen;
    if (i >= row.prompt_tokens) count += 1;
  }
  for (const uint32_t id : row.history) {
    if (counts_[id] == 0) continue;  // this id had its turn
    const auto count = static_cast<float>(counts_[id] & ~kSeen);
    counts_[id] = 0;
    float* logit = &row.logits[id];
    divide_by_repetition(logit, sampling.repetition_penalty);
    if (count > 0) *logit -= sampling.presence_penalty + sampling.frequency_penalty * count;
  }
}

SampledToken Sampler::sample(const SamplerRow& row) {
  const SamplingArgs& sampling = *row.sampling;
  SLUICE_CHECK_EQ(row.logits.size(), counts_.size());
  if (has_penalties(sampling)) penalise(row);
  for (const LogitBias& bias : sampling.biases) row.logits[bias.token] += bias.bias;
  for (const uint32_t id : row.banned) {
    // A stop id may lie beyond the vocabulary; it is not drawn anyway.
    if (id < row.logits.size()) row.logits[id] = kMasked;
  }
  if (!row.allowed.empty()) keep_allowed(row.allowed, row.logits);
  const uint32_t likeliest = argmax(row.logits);
  const bool is_greedy =
      !(sampling.temperature > kGreedyTemperature) || !(row.logits[likeliest] > kMasked);
  SampledToken token;
  token.id = likeliest;
  if (sampling.logprobs < 0 && is_greedy) return token;

  std::vector<float> raw;
  if (sampling.logprobs >= 0) raw.assign(row.logits.begin(), row.logits.end());
  if (!is_greedy) {
    for (float& logit : row.logits) logit /= sampling.temperature;
    const Cut cut = cut_finder_.find(row.logits, sampling, row.logits[likeliest]);
    token.id = draw(row, cut);
  }
  if (sampling.logprobs < 0) return token;
  return score_token(raw, token.id, static_cast<uint32_t>(sampling.logprobs));
}

SampledToken score_token(std::span<const float> logits, uint32_t id, uint32_t top_count) {
  const float highest = logits[argmax(logits)];
  double sum = 0;
  for (const float logit : logits) {
    if (logit > kMasked) sum += static_cast<double>(exp_f32(logit - highest));
  }
  const double log_sum = static_cast<double>(highest) + std::log(sum);
  const auto logprob = [&](float logit) {
    const auto value = static_cast<float>(static_cast<double>(logit) - log_sum);
    return std::isfinite(value) ? value : kLeastLogprob;
  };
  SampledToken token;
  token.id = id;
  token.logprob = logprob(logits[id]);

  // A heap of the best so far, the worst of them on top; an id that comes later must be better.
  const auto better = [](const TokenScore& a, const TokenScore& b) {
    return a.logprob > b.logprob || (a.logprob == b.logprob && a.id < b.id);
  };
  const size_t count = std::min<size_t>(top_count, logits.size());
  std::vector<TokenScore>& top = token.top;
  for (uint32_t other = 0; other < logits.size() && count > 0; ++other) {
    if (!(logits[other] > kMasked)) continue;
    if (top.size() == count && !(logits[other] > top.front().logprob)) continue;
    if (top.size() == count) {
      std::pop_heap(top.begin(), top.end(), better);
      top.pop_back();
    }
    top.push_back({other, logits[other]});
    std::push_heap(top.begin(), top.end(), better);
  }
  std::sort(top.begin(), top.end(), better);
  for (TokenScore& score : top) score.logprob = logprob(score.logprob);
  return token;
}

}  // namespace sluice
