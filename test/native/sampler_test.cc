// The sampler against plain oracles: a full sort for what survives, exact probabilities for how
// often each id is drawn, and published vectors for the generator.
#include "kernels/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "check.h"
#include "kernels/exp.h"
#include "kernels/sampling/philox.h"
#include "random.h"

namespace sluice {
namespace {

using check::RandomSource;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

SampledToken sample(std::vector<float> logits, const SamplingArgs& args, uint64_t position = 0) {
  Sampler sampler(static_cast<uint32_t>(logits.size()));
  SamplerRow row;
  row.logits = logits;
  row.sampling = &args;
  row.position = position;
  return sampler.sample(row);
}

// Ids in order of falling logit, lower ids first on ties.
std::vector<uint32_t> ranked(const std::vector<float>& logits) {
  std::vector<uint32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(
      ids.begin(), ids.end(), [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
  return ids;
}

// What must survive, from a sort of the whole vocabulary. Sums are whole numbers as in the sampler.
std::vector<bool> survivors_by_sort(const std::vector<float>& logits, const SamplingArgs& args) {
  const std::vector<uint32_t> ids = ranked(logits);
  const float highest = logits[ids[0]];
  size_t count = ids.size();
  if (args.top_k > 0) count = std::min<size_t>(count, args.top_k);
  const auto mass = [&](size_t rank) {
    return static_cast<uint64_t>(exp_f32(logits[ids[rank]] - highest) * 0x1p43f);
  };
  if (args.top_p < 1) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; ++i) total += mass(i);
    const auto target =
        static_cast<uint64_t>(static_cast<double>(args.top_p) * static_cast<double>(total));
    uint64_t sum = mass(0);
    size_t kept = 1;
    while (kept < count && sum < target) sum += mass(kept++);
    count = kept;
  }
  std::vector<bool> survives(logits.size(), false);
  for (size_t i = 0; i < count; ++i) survives[ids[i]] = true;
  if (args.min_p > 0) {
    const auto least = static_cast<float>(highest + std::log(static_cast<double>(args.min_p)));
    for (size_t id = 0; id < logits.size(); ++id) {
      if (logits[id] < least) survives[id] = false;
    }
  }
  return survives;
}

TEST("philox gives the published words") {
  CHECK(
      (philox4x32({0, 0, 0, 0}, 0) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t ones = 0xffffffff;
  CHECK((philox4x32({ones, ones, ones, ones}, ~uint64_t{0}) ==
         PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  CHECK((philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
         PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST("temperature 0 draws the lowest id of the highest logit") {
  SamplingArgs args;
  args.temperature = 0;
  CHECK_EQ(sample({1, 3, 2, 3}, args).id, 1u);
  CHECK_EQ(sample({-5, -kInfinity, -4}, args).id, 2u);
  CHECK_EQ(sample({NAN, 1, NAN, 2}, args).id, 3u);
  RandomSource random(1);
  for (const size_t size : {1u, 7u, 8u, 511u, 512u, 513u, 5000u}) {
    std::vector<float> logits = random.normals(size);
    for (float& logit : logits) logit = std::round(logit * 4) / 4;  // many ties
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    CHECK_EQ(sample(logits, args).id, static_cast<uint32_t>(best));
  }
}

TEST("a draw depends on seed, choice and position, and on nothing else") {
  RandomSource random(2);
  const std::vector<float> logits = random.normals(1000);
  SamplingArgs args;
  args.seed = 42;
  const uint32_t id = sample(logits, args, 7).id;
  CHECK_EQ(sample(logits, args, 7).id, id);
  uint32_t changed = 0;
  for (uint64_t other = 0; other < 20; ++other) {
    args.seed = 42;
    args.choice = 0;
    changed += sample(logits, args, 100 + other).id != id;
    changed += sample(logits, args, 7 + (other + 1) * (uint64_t{1} << 32)).id != id;
    args.choice = static_cast<uint32_t>(other) + 1;
    changed += sample(logits, args, 7).id != id;
    args.choice = 0;
    args.seed = 42 + ((other + 1) << 32);
    changed += sample(logits, args, 7).id != id;
  }
  CHECK(changed > 70);
}

// Chi-square of draws over successive positions against the exact distribution.
void check_frequencies(const std::vector<float>& logits, const SamplingArgs& args) {
  std::vector<float> scaled = logits;
  for (float& logit : scaled) logit /= args.temperature;
  const std::vector<bool> survives = survivors_by_sort(scaled, args);
  double total = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (survives[id]) total += std::exp(static_cast<double>(scaled[id]));
  }
  constexpr uint32_t kDraws = 100000;
  std::vector<uint32_t> counts(logits.size(), 0);
  Sampler sampler(static_cast<uint32_t>(logits.size()));
  for (uint32_t position = 0; position < kDraws; ++position) {
    std::vector<float> copy = logits;
    SamplerRow row;
    row.logits = copy;
    row.sampling = &args;
    row.position = position;
    counts[sampler.sample(row).id] += 1;
  }
  double chi_square = 0;
  double degrees = -1;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!survives[id]) {
      CHECK_EQ(counts[id], 0u);
      continue;
    }
    const double expected = kDraws * std::exp(static_cast<double>(scaled[id])) / total;
    chi_square += (counts[id] - expected) * (counts[id] - expected) / expected;
    degrees += 1;
  }
  // Five deviations above the mean of the distribution.
  CHECK(chi_square < degrees + 5 * std::sqrt(2 * degrees));
}

TEST("ids are drawn as often as their probabilities say") {
  RandomSource random(3);
  const std::vector<float> logits = random.normals(50);
  SamplingArgs args;
  args.seed = 99;
  check_frequencies(logits, args);
  args.temperature = 0.6f;
  args.choice = 3;
  check_frequencies(logits, args);
  args.top_k = 20;
  args.top_p = 0.9f;
  check_frequencies(logits, args);
  args.min_p = 0.2f;
  check_frequencies(logits, args);
  check_frequencies(std::vector<float>(40, 1.5f), args);
}

TEST("what top-k, top-p and min-p leave equals a sort, ties and all") {
  RandomSource random(4);
  CutFinder finder;
  for (int trial = 0; trial < 400; ++trial) {
    const uint32_t vocab = 1 + random.below(3000);
    std::vector<float> logits = random.normals(vocab, 0.5f + static_cast<float>(random.unit()) * 9);
    if (trial % 2 == 0) {
      for (float& logit : logits) logit = std::round(logit);
    }
    if (trial % 5 == 0) logits[random.below(vocab)] = -kInfinity;
    SamplingArgs args;
    if (trial % 3 != 0) args.top_k = 1 + random.below(vocab + 10);
    if (trial % 4 != 0) args.top_p = static_cast<float>(random.unit());
    if (trial % 7 == 0) args.min_p = static_cast<float>(random.unit());
    const float highest = *std::max_element(logits.begin(), logits.end());
    if (!(highest > -kInfinity)) continue;
    const Cut cut = finder.find(logits, args, highest);
    const std::vector<bool> wanted = survivors_by_sort(logits, args);
    uint32_t wrong = 0;
    for (uint32_t id = 0; id < vocab; ++id) wrong += cut.keeps(logits[id], id) != wanted[id];
    CHECK_EQ(wrong, 0u);
    if (wrong > 0) return;
  }
}

TEST("top-p of 0 leaves the likeliest, and all-equal logits are cut by id") {
  CutFinder finder;
  const std::vector<float> equal(100, 3);
  SamplingArgs args;
  args.top_p = 0;
  CHECK(finder.find(equal, args, 3).keeps(3, 0));
  CHECK(!finder.find(equal, args, 3).keeps(3, 1));
  args.top_p = 1;
  args.top_k = 10;
  CHECK(finder.find(equal, args, 3).keeps(3, 9));
  CHECK(!finder.find(equal, args, 3).keeps(3, 10));
}

TEST("penalties look where OpenAI and vLLM say") {
  // Id 0 is in the prompt, id 1 twice in the output, id 2 in both, id 3 nowhere.
  const std::vector<uint32_t> history = {0, 2, 1, 1, 2};
  const auto greedy = [&](std::vector<float> logits, SamplingArgs args) {
    args.temperature = 0;
    Sampler sampler(static_cast<uint32_t>(logits.size()));
    SamplerRow row;
    row.logits = logits;
    row.sampling = &args;
    row.history = history;
    row.prompt_tokens = 2;
    sampler.sample(row);
    sampler.sample(row);  // scratch must be clean again: the second call adds the same once more
    return logits;
  };
  SamplingArgs args;
  args.presence_penalty = 1;
  args.frequency_penalty = 0.25f;
  const std::vector<float> additive = greedy({10, 10, 10, 10}, args);
  CHECK_EQ(additive[0], 10.0f);
  CHECK_EQ(additive[1], 10 - 2 * 1.5f);
  CHECK_EQ(additive[2], 10 - 2 * 1.25f);
  CHECK_EQ(additive[3], 10.0f);
  args = {};
  args.repetition_penalty = 2;
  const std::vector<float> repeated = greedy({8, -1, 4, 8}, args);
  CHECK_EQ(repeated[0], 2.0f);
  CHECK_EQ(repeated[1], -4.0f);
  CHECK_EQ(repeated[2], 1.0f);
  CHECK_EQ(repeated[3], 8.0f);
}

TEST("bias and bans change what is drawn") {
  std::vector<float> logits = {5, 4, 3, 2};
  const LogitBias biases[] = {{3, 100}, {0, -100}};
  const uint32_t banned[] = {3, 4, 0xFFFFFFFF};
  SamplingArgs args;
  args.temperature = 0;
  args.biases = biases;
  Sampler sampler(4);
  SamplerRow row;
  row.logits = logits;
  row.sampling = &args;
  CHECK_EQ(sampler.sample(row).id, 3u);
  logits = {5, 4, 3, 2};
  row.banned = banned;
  CHECK_EQ(sampler.sample(row).id, 1u);
}

TEST("logprobs are those of the raw distribution, best first") {
  RandomSource random(5);
  const std::vector<float> logits = random.normals(300, 3);
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  SamplingArgs args;
  args.temperature = 0.3f;
  args.top_k = 5;
  args.logprobs = 7;
  const SampledToken token = sample(logits, args);
  const std::vector<uint32_t> ids = ranked(logits);
  REQUIRE(token.top.size() == 7);
  for (size_t i = 0; i < 7; ++i) {
    CHECK_EQ(token.top[i].id, ids[i]);
    CHECK_NEAR(token.top[i].logprob, logits[ids[i]] - std::log(total), 1e-5);
  }
  CHECK_NEAR(token.logprob, logits[token.id] - std::log(total), 1e-5);
  args.logprobs = 0;
  CHECK(sample(logits, args).top.empty());
}

TEST("ties among the top logprobs go to lower ids, and masked ids are never among them") {
  const SampledToken token = score_token(std::vector<float>{1, 2, 2, -kInfinity, 2, 1}, 3, 4);
  REQUIRE(token.top.size() == 4);
  CHECK_EQ(token.top[0].id, 1u);
  CHECK_EQ(token.top[2].id, 4u);
  CHECK_EQ(token.top[3].id, 0u);
  CHECK(std::isfinite(token.logprob));
}

TEST("rows without any finite logit still give an id of the vocabulary") {
  SamplingArgs args;
  args.logprobs = 3;
  CHECK(sample(std::vector<float>(10, -kInfinity), args).id < 10);
  CHECK(sample(std::vector<float>(10, NAN), args).id < 10);
  args.top_k = 3;
  args.top_p = 0.5f;
  CHECK(sample({NAN, 1, 2, NAN, 3}, args).id < 5);
}

}  // namespace
}  // namespace sluice
