// The AVX2 form of silu_mul; the last few elements take the plain form.
#include "kernels/silu_mul.h"

#if defined(__x86_64__)

#include "kernels/exp_avx2.h"

namespace sluice {

void silu_mul_avx2(const SiluMulArgs& args) {
  const uint32_t whole = args.size / 8 * 8;
  const __m256 one = _mm256_set1_ps(1);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (uint32_t i = 0; i < whole; i += 8) {
    const __m256 gate = _mm256_loadu_ps(args.gate + i);
    const __m256 below = _mm256_add_ps(one, exp_avx2(_mm256_xor_ps(gate, sign)));
    const __m256 silu = _mm256_div_ps(gate, below);
    _mm256_storeu_ps(args.out + i, _mm256_mul_ps(silu, _mm256_loadu_ps(args.up + i)));
  }
  silu_mul_reference({args.gate + whole, args.up + whole, args.out + whole, args.size - whole});
}

}  // namespace sluice

#endif
