// The AVX2 form of rmsnorm: the eight lanes of the sum are a vector.
#include "kernels/rmsnorm.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cmath>

#include "kernels/lanes.h"

namespace sluice {

void rmsnorm_avx2(const RmsNormArgs& args) {
  const uint32_t whole = args.size / 8 * 8;
  for (uint32_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.x_stride;
    float* out = args.out + row * args.out_stride;
    __m256 squares = _mm256_setzero_ps();
    for (uint32_t i = 0; i < whole; i += 8) {
      const __m256 value = _mm256_loadu_ps(x + i);
      squares = _mm256_add_ps(squares, _mm256_mul_ps(value, value));
    }
    float lanes[kSumLanes];
    _mm256_storeu_ps(lanes, squares);
    for (uint32_t i = whole; i < args.size; ++i) lanes[i - whole] += x[i] * x[i];
    const float mean = sum_of_lanes(lanes) / static_cast<float>(args.size);
    const float inverse = 1.0f / std::sqrt(mean + args.epsilon);
    const __m256 inverses = _mm256_set1_ps(inverse);
    for (uint32_t i = 0; i < whole; i += 8) {
      const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i), inverses);
      _mm256_storeu_ps(out + i, _mm256_mul_ps(scaled, _mm256_loadu_ps(args.weight + i)));
    }
    for (uint32_t i = whole; i < args.size; ++i) out[i] = x[i] * inverse * args.weight[i];
  }
}

}  // namespace sluice

#endif
