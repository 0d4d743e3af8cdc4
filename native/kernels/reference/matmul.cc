// The plain form of matmul, one output at a time: what the fast forms are held against, to the bit,
// and what runs where there is no fast form.
#include "kernels/matmul.h"

#include <cmath>
#include <cstring>

#include "kernels/dtype.h"

namespace sluice {
namespace {

float int4_at(const Matrix& matrix, uint32_t output, uint32_t input) {
  const uint32_t lane = output % kStripOutputs;
  const uint64_t strip = output / kStripOutputs;
  const uint8_t* words = matrix.weights + strip * matrix.strip_bytes() +
                         uint64_t{input / kInt4Inputs} * kInt4Inputs * kStripOutputs / 2;
  uint32_t word;
  std::memcpy(&word, words + lane % 8 * 4, 4);
  const uint32_t nibble = input % kInt4Inputs * 2 + lane / 8;
  const auto q = static_cast<int>((word >> (4 * nibble)) & 15);
  const uint64_t group = strip * matrix.groups() + input / matrix.group_inputs;
  return static_cast<float>(q - matrix.zeros[group * kStripOutputs + lane]);
}

}  // namespace

float weight_at(const Matrix& matrix, uint32_t output, uint32_t input) {
  if (matrix.type == WeightType::kInt4) return int4_at(matrix, output, input);
  const uint8_t* strip = matrix.weights + output / kStripOutputs * matrix.strip_bytes();
  const uint64_t index =
      uint64_t{input} * kStripOutputs + weight_slot(matrix.type, output % kStripOutputs);
  if (matrix.type == WeightType::kF32) {
    float value;
    std::memcpy(&value, strip + index * 4, 4);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, strip + index * 2, 2);
  return matrix.type == WeightType::kBf16 ? bf16_to_f32(half) : f16_to_f32(half);
}

void matmul_reference(const MatmulArgs& args, WorkRange strips) {
  const Matrix& matrix = *args.matrix;
  const uint32_t panel_inputs = matrix.panel_inputs();
  for (uint32_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.x_stride;
    float* y = args.y + row * args.y_stride;
    for (uint32_t n = strips.begin * kStripOutputs; n < strips.end * kStripOutputs; ++n) {
      float sum = args.accumulate ? y[n] : 0;
      if (matrix.bias != nullptr) sum += matrix.bias[n];
      for (uint32_t begin = 0; begin < matrix.inputs; begin += panel_inputs) {
        const uint32_t end = std::min(begin + panel_inputs, matrix.inputs);
        float panel = 0;
        for (uint32_t k = begin; k < end; ++k)
          panel = std::fma(x[k], weight_at(matrix, n, k), panel);
        if (matrix.type == WeightType::kInt4) {
          const uint64_t group =
              uint64_t{n / kStripOutputs} * matrix.groups() + begin / matrix.group_inputs;
          sum = std::fma(panel, matrix.scales[group * kStripOutputs + n % kStripOutputs], sum);
        } else {
          sum += panel;
        }
      }
      y[n] = sum;
    }
  }
}

}  // namespace sluice
