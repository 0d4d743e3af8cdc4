// The grids that weights are rounded to, and how the rounded ones are stored.
//
// 4 bits: in each output, neighbouring inputs of a group share a float16 scale and a zero point:
//   scale = (highest - lowest) / 15, zero = round(-lowest / scale), q = round(w / scale) + zero,
//   all in 0 .. 15. Halves go to the even number. The scale is rounded to float16 before the rest.
// 8 bits: one float16 scale an output, q = round(w / scale) in -127 .. 127.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/quantize/float_matrix.h"

namespace sluice {

struct GroupGrid {
  float scale = 1;
  float zero = 0;

  // Of weights between these, which 0 is too.
  static GroupGrid between(float lowest, float highest);

  float q(float weight) const;  // 0 .. 15
  float round(float weight) const { return (q(weight) - zero) * scale; }
};

// The grid of a group's weights as they are.
GroupGrid grid_of(std::span<const float> group);

// Every weight as its group's grid has it.
void round_matrix(uint32_t group_inputs, ThreadPool* pool, FloatMatrix* matrix);

// A matrix as AutoAWQ's "GEMM" files hold it.
struct AwqTensors {
  std::vector<uint32_t> qweight;  // [inputs, outputs / 8]
  std::vector<uint32_t> qzeros;   // [groups, outputs / 8]
  std::vector<uint16_t> scales;   // [groups, outputs] f16
};
AwqTensors to_awq(const FloatMatrix& matrix, uint32_t group_inputs);

// A matrix as compressed-tensors holds 8 bits by channel.
struct Int8Tensors {
  std::vector<int8_t> weight;          // [outputs, inputs]
  std::vector<uint16_t> weight_scale;  // [outputs, 1] f16
};
Int8Tensors to_int8(const FloatMatrix& matrix);

}  // namespace sluice
