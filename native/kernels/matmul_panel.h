// One panel of some neighbouring strips, as the vector forms of matmul walk them. Everything here
// is static: files compiled for other instructions must not share its code.
#pragma once

#include <algorithm>

#include "kernels/matmul.h"

namespace sluice {

struct Panel {
  const uint8_t* weights = nullptr;  // of the first strip, at the panel's first input
  uint64_t strip_bytes = 0;
  const float* x = nullptr;  // at the panel's first input
  size_t x_stride = 0;
  uint32_t inputs = 0;
  float* y = nullptr;  // at the first strip
  size_t y_stride = 0;
  // int4: of the first strip and the panel's group; those of the next strip are strip_groups on.
  const float* scale = nullptr;
  const uint8_t* zeros = nullptr;
  uint64_t strip_groups = 0;

  const float* scale_of(uint32_t strip) const {
    return scale == nullptr ? nullptr : scale + strip * strip_groups;
  }
  const uint8_t* zero(uint32_t strip) const {
    return zeros == nullptr ? nullptr : zeros + strip * strip_groups;
  }
};

// The panel that begins at input `k`, of the strips from `strip` on.
static inline Panel panel_of(const MatmulArgs& args, uint32_t strip, uint32_t k) {
  const Matrix& matrix = *args.matrix;
  Panel panel;
  panel.strip_bytes = matrix.strip_bytes();
  panel.weights =
      matrix.weights + strip * panel.strip_bytes + k * (panel.strip_bytes / matrix.inputs);
  panel.x = args.x + k;
  panel.x_stride = args.x_stride;
  panel.inputs = std::min(matrix.panel_inputs(), matrix.inputs - k);
  panel.y = args.y + strip * kStripOutputs;
  panel.y_stride = args.y_stride;
  if (matrix.type == WeightType::kInt4) {
    panel.strip_groups = uint64_t{matrix.groups()} * kStripOutputs;
    const uint64_t at = strip * panel.strip_groups + k / matrix.group_inputs * kStripOutputs;
    panel.scale = matrix.scales + at;
    panel.zeros = matrix.zeros + at;
  }
  return panel;
}

// What the panels' sums are added to: y as it is, or zero, and the bias.
static inline void begin_rows(const MatmulArgs& args, WorkRange strips) {
  const uint32_t begin = strips.begin * kStripOutputs;
  const uint32_t end = strips.end * kStripOutputs;
  const float* bias = args.matrix->bias;
  for (uint32_t row = 0; row < args.rows; ++row) {
    float* y = args.y + row * args.y_stride;
    for (uint32_t n = begin; n < end; ++n) {
      float sum = args.accumulate ? y[n] : 0;
      if (bias != nullptr) sum += bias[n];
      y[n] = sum;
    }
  }
}

}  // namespace sluice
