// e^x in float32, the one definition that every path uses: only multiplications and additions in a
// fixed order, so the plain, AVX2 and later device forms give the same bits (native/ is compiled
// without contraction). Within 2 ulp over the normal range; results below it are exactly 0.
#pragma once

#include <bit>
#include <cstdint>

namespace sluice {

inline constexpr float kExpLowest = -87.0f;  // below: 0
inline constexpr float kExpHighest = 88.0f;  // above: e^88
inline constexpr float kExpLog2e = 1.44269504088896341f;
// 1.5 * 2^23: adding and subtracting it rounds to the nearest whole number.
inline constexpr float kExpRound = 12582912.0f;
// ln 2 in two parts; the first has few enough bits that n * kExpLn2High is exact.
inline constexpr float kExpLn2High = 0.693359375f;
inline constexpr float kExpLn2Low = -2.12194440e-4f;
// e^r = 1 + r + r^2 * P(r) on |r| <= ln(2)/2, highest power first.
inline constexpr float kExpPolynomial[6] = {1.9875691500e-4f,
                                            1.3981999507e-3f,
                                            8.3334519073e-3f,
                                            4.1665795894e-2f,
                                            1.6666665459e-1f,
                                            5.0000001201e-1f};

// NaN gives e^88, as the vector form's minimum does: a mask must be -infinity, never NaN.
inline float exp_f32(float x) {
  const float clamped = x < kExpHighest ? x : kExpHighest;
  const float bounded = clamped > kExpLowest ? clamped : kExpLowest;
  const float n = (bounded * kExpLog2e + kExpRound) - kExpRound;
  const float r = (bounded - n * kExpLn2High) - n * kExpLn2Low;
  float p = kExpPolynomial[0];
  for (int i = 1; i < 6; ++i) p = p * r + kExpPolynomial[i];
  const float fraction = (p * (r * r) + r) + 1.0f;
  const float scale = std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
  return clamped > kExpLowest ? fraction * scale : 0.0f;
}

}  // namespace sluice
