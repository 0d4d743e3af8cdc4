// Rounding and packing.
#include "model/quantize/grid.h"

#include <algorithm>
#include <cmath>

#include "kernels/dtype.h"

namespace sluice {
namespace {

constexpr float kSteps = 15;
constexpr float kInt8Steps = 127;

// What a group of zeros has for its range: no scale is 0.
constexpr float kRangeMin = 1e-5f;

// The smallest normal float16: scales below it would lose bits.
constexpr float kInt8ScaleMin = 6.2e-5f;

// Adding and taking away 1.5 * 2^23 rounds, halves to even, without a call.
float round_even(float value) {
  constexpr float kRound = 12582912.0f;
  return (value + kRound) - kRound;
}

uint32_t awq_shift(uint32_t output) {
  const uint32_t column = output % 8;
  return 4 * (column >> 1 | (column & 1) << 2);
}

}  // namespace

GroupGrid GroupGrid::between(float lowest, float highest) {
  GroupGrid grid;
  grid.scale = f16_to_f32(f32_to_f16(std::max(highest - lowest, kRangeMin) / kSteps));
  grid.zero = std::clamp(round_even(-lowest / grid.scale), 0.0f, kSteps);
  return grid;
}

float GroupGrid::q(float weight) const {
  return std::clamp(round_even(weight / scale) + zero, 0.0f, kSteps);
}

GroupGrid grid_of(std::span<const float> group) {
  const auto [lowest, highest] = std::minmax_element(group.begin(), group.end());
  return GroupGrid::between(std::min(*lowest, 0.0f), std::max(*highest, 0.0f));
}

void round_matrix(uint32_t group_inputs, ThreadPool* pool, FloatMatrix* matrix) {
  pool->run(matrix->outputs, kStripOutputs, [&](WorkRange rows, uint32_t) {
    for (uint32_t n = rows.begin; n < rows.end; ++n) {
      for (uint32_t k = 0; k < matrix->inputs; k += group_inputs) {
        const std::span<float> group(matrix->row(n) + k, group_inputs);
        const GroupGrid grid = grid_of(group);
        for (float& weight : group) weight = grid.round(weight);
      }
    }
  });
}

AwqTensors to_awq(const FloatMatrix& matrix, uint32_t group_inputs) {
  const uint64_t row_words = matrix.outputs / 8;
  const uint64_t groups = matrix.inputs / group_inputs;
  AwqTensors out;
  out.qweight.resize(matrix.inputs * row_words);
  out.qzeros.resize(groups * row_words);
  out.scales.resize(groups * matrix.outputs);
  for (uint32_t n = 0; n < matrix.outputs; ++n) {
    const uint32_t shift = awq_shift(n);
    for (uint64_t g = 0; g < groups; ++g) {
      const std::span<const float> group(matrix.row(n) + g * group_inputs, group_inputs);
      const GroupGrid grid = grid_of(group);
      out.scales[g * matrix.outputs + n] = f32_to_f16(grid.scale);
      out.qzeros[g * row_words + n / 8] |= static_cast<uint32_t>(grid.zero) << shift;
      for (uint32_t i = 0; i < group_inputs; ++i) {
        const uint64_t k = g * group_inputs + i;
        out.qweight[k * row_words + n / 8] |= static_cast<uint32_t>(grid.q(group[i])) << shift;
      }
    }
  }
  return out;
}

Int8Tensors to_int8(const FloatMatrix& matrix) {
  Int8Tensors out;
  out.weight.resize(matrix.values.size());
  out.weight_scale.resize(matrix.outputs);
  for (uint32_t n = 0; n < matrix.outputs; ++n) {
    const float* row = matrix.row(n);
    float highest = 0;
    for (uint32_t k = 0; k < matrix.inputs; ++k) highest = std::max(highest, std::fabs(row[k]));
    const uint16_t bits = f32_to_f16(std::max(highest / kInt8Steps, kInt8ScaleMin));
    const float scale = f16_to_f32(bits);
    out.weight_scale[n] = bits;
    for (uint32_t k = 0; k < matrix.inputs; ++k) {
      const float q = std::clamp(round_even(row[k] / scale), -kInt8Steps, kInt8Steps);
      out.weight[uint64_t{n} * matrix.inputs + k] = static_cast<int8_t>(q);
    }
  }
  return out;
}

}  // namespace sluice
