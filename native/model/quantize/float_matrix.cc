// Out of the strips again, weight by weight.
#include "model/quantize/float_matrix.h"

#include "kernels/matmul.h"

namespace sluice {

FloatMatrix widen_matrix(const Matrix& matrix, ThreadPool* pool) {
  FloatMatrix out;
  out.outputs = matrix.outputs;
  out.inputs = matrix.inputs;
  out.values.resize(uint64_t{matrix.outputs} * matrix.inputs);
  pool->run(matrix.outputs, kStripOutputs, [&](WorkRange rows, uint32_t) {
    for (uint32_t n = rows.begin; n < rows.end; ++n) {
      float* row = out.row(n);
      for (uint32_t k = 0; k < matrix.inputs; ++k) row[k] = weight_at(matrix, n, k);
    }
  });
  if (matrix.bias != nullptr) out.bias.assign(matrix.bias, matrix.bias + matrix.outputs);
  return out;
}

}  // namespace sluice
