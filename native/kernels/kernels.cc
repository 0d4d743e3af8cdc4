// The table of kernels for each instruction set that was built.
#include "kernels/kernels.h"

namespace sluice {
namespace {

constexpr Kernels kReference = {
    matmul_reference, rmsnorm_reference, rope_reference, attention_reference, silu_mul_reference};

#if defined(__x86_64__)
constexpr Kernels kAvx2 = {matmul_avx2, rmsnorm_avx2, rope_avx2, attention_avx2, silu_mul_avx2};
// The rest of a step is too little to gain by wider vectors.
constexpr Kernels kAvx512 = {matmul_avx512, rmsnorm_avx2, rope_avx2, attention_avx2, silu_mul_avx2};
#endif

}  // namespace

const Kernels& kernels_for(Isa isa) {
  SLUICE_CHECK(has_isa(isa));
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return kAvx512;
  if (isa == Isa::kAvx2) return kAvx2;
#endif
  return kReference;
}

}  // namespace sluice
