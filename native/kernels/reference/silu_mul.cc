// The plain form of silu_mul.
#include "kernels/silu_mul.h"

#include "kernels/exp.h"

namespace sluice {

void silu_mul_reference(const SiluMulArgs& args) {
  for (uint32_t i = 0; i < args.size; ++i) {
    const float gate = args.gate[i];
    args.out[i] = gate / (1.0f + exp_f32(-gate)) * args.up[i];
  }
}

}  // namespace sluice
