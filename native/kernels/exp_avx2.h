// exp_f32 of kernels/exp.h for eight values: the same operations in the same order. Only *_avx2.cc
// may include it.
#pragma once

#include <immintrin.h>

#include "kernels/exp.h"

namespace sluice {

inline __m256 exp_avx2(__m256 x) {
  // minps and maxps give their second operand for NaN, as the comparisons of exp_f32 do.
  const __m256 lowest = _mm256_set1_ps(kExpLowest);
  const __m256 clamped = _mm256_min_ps(x, _mm256_set1_ps(kExpHighest));
  const __m256 bounded = _mm256_max_ps(clamped, lowest);
  const __m256 round = _mm256_set1_ps(kExpRound);
  const __m256 scaled = _mm256_mul_ps(bounded, _mm256_set1_ps(kExpLog2e));
  const __m256 n = _mm256_sub_ps(_mm256_add_ps(scaled, round), round);
  const __m256 high = _mm256_mul_ps(n, _mm256_set1_ps(kExpLn2High));
  const __m256 low = _mm256_mul_ps(n, _mm256_set1_ps(kExpLn2Low));
  const __m256 r = _mm256_sub_ps(_mm256_sub_ps(bounded, high), low);
  __m256 p = _mm256_set1_ps(kExpPolynomial[0]);
  for (int i = 1; i < 6; ++i) {
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(kExpPolynomial[i]));
  }
  const __m256 curve = _mm256_add_ps(_mm256_mul_ps(p, _mm256_mul_ps(r, r)), r);
  const __m256 fraction = _mm256_add_ps(curve, _mm256_set1_ps(1));
  const __m256i exponent = _mm256_add_epi32(_mm256_cvttps_epi32(n), _mm256_set1_epi32(127));
  const __m256 scale = _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
  const __m256 in_range = _mm256_cmp_ps(clamped, lowest, _CMP_GT_OQ);
  return _mm256_and_ps(_mm256_mul_ps(fraction, scale), in_range);
}

}  // namespace sluice
