// What the device's kernels compute with, compiled for the CPU from the same headers: the sampler's
// arithmetic has the CPU sampler's bits, and the cache's layout is a layout.
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "check.h"
#include "kernels/cuda/kv_layout.cuh"
#include "kernels/cuda/sampler_math.cuh"
#include "kernels/sampling/philox.h"
#include "random.h"

namespace sluice {
namespace {

TEST("device math: e^x has the bits of the CPU's") {
  check::RandomSource random(1);
  for (int i = 0; i < 200'000; ++i) {
    const float x = random.normal() * (i % 3 == 0 ? 100.0f : 10.0f);
    CHECK_EQ(bits_of(exp_exact(x)), bits_of(exp_f32(x)));
  }
  for (const float x : {0.0f, -0.0f, -87.0f, -87.1f, 88.0f, 89.0f, -HUGE_VALF, HUGE_VALF}) {
    CHECK_EQ(bits_of(exp_exact(x)), bits_of(exp_f32(x)));
  }
}

TEST("device math: Philox words are the CPU's") {
  check::RandomSource random(2);
  for (int i = 0; i < 1000; ++i) {
    const auto word = [&] { return random.below(0xFFFFFFFFu); };
    const PhiloxBlock counter = {word(), word(), word(), word()};
    const uint64_t key = uint64_t{word()} << 32 | word();
    const PhiloxBlock want = philox4x32(counter, key);
    const PhiloxWords got = philox_words({{counter[0], counter[1], counter[2], counter[3]}}, key);
    for (size_t w = 0; w < 4; ++w) CHECK_EQ(got.w[w], want[w]);
  }
}

TEST("device math: keys are in the order of floats and lead back") {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> values = {-infinity, -3e38f, -1.0f, -1e-40f, 0.0f, 1e-40f, 1.0f, 3e38f};
  for (size_t i = 0; i + 1 < values.size(); ++i) {
    CHECK(ordered_key(values[i]) < ordered_key(values[i + 1]));
    CHECK_EQ(value_of_key(ordered_key(values[i])), values[i]);
  }
  CHECK_EQ(ordered_key(-0.0f), ordered_key(0.0f));
}

TEST("device math: bins never fall as logits rise") {
  check::RandomSource random(3);
  const float highest = 21.7f;
  for (int i = 0; i < 10'000; ++i) {
    const float a = highest - std::fabs(random.normal()) * 12;
    const float b = highest - std::fabs(random.normal()) * 12;
    if (a > b) CHECK(search_bin(a, highest) <= search_bin(b, highest));
    const uint32_t bin = search_bin(b, highest);
    const float near = std::nextafterf(b, HUGE_VALF);
    if (bin == kSearchBins - 1 || search_bin(near, highest) != bin) continue;
    CHECK(search_bin_part(near, highest, bin) <= search_bin_part(b, highest, bin));
    CHECK(search_bin_part(b, highest, bin) < kSearchBins);
  }
  CHECK_EQ(search_bin(highest, highest), 0u);
  CHECK_EQ(search_bin(-HUGE_VALF, highest), kSearchBins - 1);
  CHECK_EQ(search_bin(std::nanf(""), highest), kSearchBins - 1);
}

TEST("device math: the estimate of the noise is as near as promised") {
  check::RandomSource random(4);
  const auto expect = [](uint32_t word) {
    const double exact = gumbel_exact(word);
    CHECK_NEAR(static_cast<double>(gumbel_estimate(word)), exact, kGumbelError);
    CHECK(exact <= static_cast<double>(kGumbelMost));
    CHECK(exact <= static_cast<double>(gumbel_bound(word)));
  };
  for (int i = 0; i < 200'000; ++i) expect(random.below(0xFFFFFFFFu));
  for (uint32_t i = 0; i < 64; ++i) {
    expect(i);
    expect(0xFFFFFFFFu - i);
    expect(0x7FFFFFE0u + i);
  }
}

TEST("KV layout: every element has its own place, in its token's row") {
  for (const uint32_t head_dim : {8u, 16u, 48u, 64u, 80u, 96u, 128u, 256u}) {
    std::set<uint32_t> places;
    for (uint32_t token = 0; token < kBlockTokens; ++token) {
      for (uint32_t d = 0; d < head_dim; ++d) {
        const uint32_t at = kv_part_offset(token, d, head_dim);
        CHECK_EQ(at / head_dim, token);
        CHECK_EQ(at % kKvChunk, d % kKvChunk);
        places.insert(at);
      }
    }
    CHECK_EQ(places.size(), size_t{kBlockTokens} * head_dim);
  }
  CHECK_EQ(kv_part_begin(3, 1, 4, 64), uint64_t{13} * 16 * 64);
}

// ldmatrix reads eight tokens' chunks at once; each of 16 bytes has its own four banks.
TEST("KV layout: eight tokens' chunks lie in different banks") {
  for (const uint32_t head_dim : {64u, 128u, 256u}) {
    for (uint32_t first : {0u, 8u}) {
      for (uint32_t chunk = 0; chunk < head_dim / kKvChunk; ++chunk) {
        std::set<uint32_t> banks;
        for (uint32_t token = first; token < first + 8; ++token) {
          banks.insert(kv_part_offset(token, chunk * kKvChunk, head_dim) * 2 % 128 / 16);
        }
        CHECK_EQ(banks.size(), 8u);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
