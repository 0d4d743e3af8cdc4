// Where a group's range is cut: its few largest weights cost all others their resolution. Each
// output's group is tried with its range cut by up to 45 %, and keeps the cut whose error over the
// calibration rows is least.
#pragma once

#include "kernels/kernels.h"
#include "model/quantize/float_matrix.h"

namespace sluice {

struct ClipArgs {
  const float* x = nullptr;  // what the linear reads: [rows, inputs]
  size_t x_stride = 0;
  uint32_t rows = 0;
  uint32_t group_inputs = 0;
  const Kernels* kernels = nullptr;
  ThreadPool* pool = nullptr;
};

void clip_matrix(const ClipArgs& args, FloatMatrix* matrix);

}  // namespace sluice
