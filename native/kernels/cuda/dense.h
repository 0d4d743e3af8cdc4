// What surrounds cuBLASLt: quantised weights widened to bf16, a slice of outputs at a time, and
// SiLU(gate) * up of a finished GEMM whose outputs are gate and up, interleaved by 8.
#pragma once

#include "kernels/cuda/linear.h"

namespace sluice {

// Outputs [first, first + count) of an int4 or int8 matrix as bf16 [count, inputs]; each weight is
// rounded once. `first` and `count` are multiples of 16, except for the matrix's end.
struct WidenArgs {
  const DeviceMatrix* matrix = nullptr;
  uint32_t first = 0;
  uint32_t count = 0;
  uint16_t* out = nullptr;
};

Status widen_weights(const WidenArgs& args, DeviceStream stream);

struct GateArgs {
  const uint16_t* gate_up = nullptr;  // bf16 [rows, 2 * width]: 8 gates, their 8 ups, ...
  uint16_t* out = nullptr;            // bf16 [rows, out_stride]
  uint32_t rows = 0;
  uint32_t width = 0;  // a multiple of 8
  uint32_t out_stride = 0;
};

Status gate_mul(const GateArgs& args, DeviceStream stream);

}  // namespace sluice
