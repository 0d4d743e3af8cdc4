// The sampler's arithmetic, operation by operation as on the CPU (kernels/exp.h,
// sampling/philox.h, sampling/cut.cc): no contraction, so the same bits. The CPU's tests compile
// these lines too.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/cuda/host_device.h"
#include "kernels/exp.h"

namespace sluice {

SLUICE_HOST_DEVICE float multiply(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

SLUICE_HOST_DEVICE float add(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

SLUICE_HOST_DEVICE uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

SLUICE_HOST_DEVICE float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// exp_f32 of kernels/exp.h.
SLUICE_HOST_DEVICE float exp_exact(float x) {
  constexpr float kP0 = kExpPolynomial[0];
  constexpr float kP1 = kExpPolynomial[1];
  constexpr float kP2 = kExpPolynomial[2];
  constexpr float kP3 = kExpPolynomial[3];
  constexpr float kP4 = kExpPolynomial[4];
  constexpr float kP5 = kExpPolynomial[5];
  const float clamped = x < kExpHighest ? x : kExpHighest;
  const float bounded = clamped > kExpLowest ? clamped : kExpLowest;
  const float n = add(add(multiply(bounded, kExpLog2e), kExpRound), -kExpRound);
  const float high = add(bounded, -multiply(n, kExpLn2High));
  const float r = add(high, -multiply(n, kExpLn2Low));
  float p = add(multiply(kP0, r), kP1);
  p = add(multiply(p, r), kP2);
  p = add(multiply(p, r), kP3);
  p = add(multiply(p, r), kP4);
  p = add(multiply(p, r), kP5);
  const float fraction = add(add(multiply(p, multiply(r, r)), r), 1.0f);
  const float scale = float_of(static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23);
  return clamped > kExpLowest ? multiply(fraction, scale) : 0.0f;
}

// A probability before normalisation as a whole number, so that sums have no order: at most 2^43
// each, over at most 2^20 ids.
inline constexpr float kMassUnit = 8796093022208.0f;

SLUICE_HOST_DEVICE uint64_t mass_of_logit(float logit, float highest) {
  if (!(logit > -__builtin_inff())) return 0;
  return static_cast<uint64_t>(multiply(exp_exact(add(logit, -highest)), kMassUnit));
}

struct PhiloxWords {
  uint32_t w[4];
};

SLUICE_HOST_DEVICE PhiloxWords philox_words(PhiloxWords counter, uint64_t key) {
  uint32_t key0 = static_cast<uint32_t>(key);
  uint32_t key1 = static_cast<uint32_t>(key >> 32);
  for (uint32_t round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * counter.w[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * counter.w[2];
    counter = {{static_cast<uint32_t>(product1 >> 32) ^ counter.w[1] ^ key0,
                static_cast<uint32_t>(product1),
                static_cast<uint32_t>(product0 >> 32) ^ counter.w[3] ^ key1,
                static_cast<uint32_t>(product0)}};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return counter;
}

// Whole numbers in the order of floats; both zeros are one. NaN has no place: ask first.
SLUICE_HOST_DEVICE uint32_t ordered_key(float value) {
  const uint32_t bits = bits_of(add(value, 0.0f));
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

SLUICE_HOST_DEVICE float value_of_key(uint32_t key) {
  return float_of((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key);
}

// Bins of 1/128 nat below the highest logit; the last takes all that is further down than 8 nats,
// where top-k and top-p seldom end.
inline constexpr uint32_t kSearchBins = 1024;
inline constexpr float kSearchBinsPerNat = 128;

// Subtraction and multiplication round monotonically: a higher logit never has a later bin.
SLUICE_HOST_DEVICE uint32_t search_bin(float logit, float highest) {
  const float distance = multiply(add(highest, -logit), kSearchBinsPerNat);
  return distance < static_cast<float>(kSearchBins - 1) ? static_cast<uint32_t>(distance)
                                                        : kSearchBins - 1;
}

// Where in its bin a logit is, the last bin aside: kSearchBins parts of it. Both steps are exact.
SLUICE_HOST_DEVICE uint32_t search_bin_part(float logit, float highest, uint32_t bin) {
  const float distance = multiply(add(highest, -logit), kSearchBinsPerNat);
  const float within = add(distance, -static_cast<float>(bin));
  const float part = multiply(within, static_cast<float>(kSearchBins));
  return part < static_cast<float>(kSearchBins - 1) ? static_cast<uint32_t>(part) : kSearchBins - 1;
}

// Gumbel noise of a word in float32, within kGumbelError of the float64 that decides.
inline constexpr float kGumbelError = 1e-5f;
inline constexpr float kGumbelMost = 22.9f;  // no word gives more

SLUICE_HOST_DEVICE float gumbel_estimate(uint32_t word) {
  constexpr float kUnit = 2.3283064365386963e-10f;  // 2^-32
  const bool is_low = word < 0x80000000u;
  const float low = multiply(add(static_cast<float>(word), 0.5f), kUnit);
  const float rest = multiply(add(static_cast<float>(~word), 0.5f), kUnit);
  return -logf(is_low ? -logf(low) : -log1pf(-rest));
}

// No less than the noise of a word, and most often far less than kGumbelMost: -ln(-ln u) <= -ln(1 -
// u), whose leading zeros are counted.
SLUICE_HOST_DEVICE float gumbel_bound(uint32_t word) {
#if defined(__CUDA_ARCH__)
  const int zeros = __clz(static_cast<int>(~word));
#else
  const int zeros = ~word == 0 ? 32 : __builtin_clz(~word);
#endif
  return multiply(static_cast<float>(zeros + 1), 0.6931473f) + kGumbelError;
}

SLUICE_HOST_DEVICE double gumbel_exact(uint32_t word) {
  const double u = (static_cast<double>(word) + 0.5) * 0x1p-32;
  return -log(-log(u));
}

}  // namespace sluice
