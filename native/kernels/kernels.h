// The kernels of one instruction set, chosen once when a model is loaded. `embed` and the sampler
// are the same on all.
#pragma once

#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/rmsnorm.h"
#include "kernels/rope.h"
#include "kernels/silu_mul.h"
#include "runtime/isa.h"

namespace sluice {

struct Kernels {
  void (*matmul)(const MatmulArgs& args, WorkRange strips);
  void (*rmsnorm)(const RmsNormArgs& args);
  void (*rope)(const RopeArgs& args);
  void (*attention)(const AttentionArgs& args, float* scratch);
  void (*silu_mul)(const SiluMulArgs& args);
};

// Only for an Isa that this processor has.
const Kernels& kernels_for(Isa isa);

}  // namespace sluice
