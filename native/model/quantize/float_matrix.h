// A linear's weights as plain rows of float32, while they are scaled, cut and rounded.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/matrix.h"
#include "runtime/thread_pool.h"

namespace sluice {

struct FloatMatrix {
  uint32_t outputs = 0;
  uint32_t inputs = 0;
  std::vector<float> values;  // [outputs, inputs]
  std::vector<float> bias;    // [outputs], or empty

  float* row(uint32_t output) { return values.data() + uint64_t{output} * inputs; }
  const float* row(uint32_t output) const { return values.data() + uint64_t{output} * inputs; }
};

FloatMatrix widen_matrix(const Matrix& matrix, ThreadPool* pool);

}  // namespace sluice
