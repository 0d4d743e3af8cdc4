// The AVX2 form of rope, for heads whose half is whole vectors.
#include "kernels/rope.h"

#if defined(__x86_64__)

#include <immintrin.h>

namespace sluice {

void rope_avx2(const RopeArgs& args) {
  const uint32_t half = args.head_dim / 2;
  if (half % 8 != 0) return rope_reference(args);
  for (uint32_t head = 0; head < args.heads; ++head) {
    float* first = args.x + size_t{head} * args.head_dim;
    float* second = first + half;
    for (uint32_t i = 0; i < half; i += 8) {
      const __m256 a = _mm256_loadu_ps(first + i);
      const __m256 b = _mm256_loadu_ps(second + i);
      const __m256 cosine = _mm256_loadu_ps(args.cosines + i);
      const __m256 sine = _mm256_loadu_ps(args.sines + i);
      const __m256 rotated_a = _mm256_sub_ps(_mm256_mul_ps(a, cosine), _mm256_mul_ps(b, sine));
      const __m256 rotated_b = _mm256_add_ps(_mm256_mul_ps(b, cosine), _mm256_mul_ps(a, sine));
      _mm256_storeu_ps(first + i, rotated_a);
      _mm256_storeu_ps(second + i, rotated_b);
    }
  }
}

}  // namespace sluice

#endif
