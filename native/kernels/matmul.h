// y = W x (+ bias) for a few or many rows x, over a range of W's strips. What is summed in which
// order is fixed by matrix.h, so all forms below give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matrix.h"
#include "runtime/thread_pool.h"

namespace sluice {

struct MatmulArgs {
  const Matrix* matrix = nullptr;
  const float* x = nullptr;  // [rows, inputs] f32
  size_t x_stride = 0;       // floats from row to row
  uint32_t rows = 0;
  float* y = nullptr;  // [rows, strips * 16] f32: the padding is written too
  size_t y_stride = 0;
  bool accumulate = false;  // add to y as it is; otherwise y is overwritten
};

// One weight as a float; of int4 without its scale: q - zero, which is exact.
float weight_at(const Matrix& matrix, uint32_t output, uint32_t input);

void matmul_reference(const MatmulArgs& args, WorkRange strips);
#if defined(__x86_64__)
void matmul_avx2(const MatmulArgs& args, WorkRange strips);
void matmul_avx512(const MatmulArgs& args, WorkRange strips);
#endif

}  // namespace sluice
