// How a weight matrix lies in memory for the CPU kernels. Outputs stand in strips of 16; inside a
// strip the inputs run in order, so that a kernel reads one strip as one stream and keeps its 16
// sums in vector lanes:
//
//   strip 0: [input 0: 16 weights][input 1: 16 weights] ...   strip 1: ...
//
// The last strip is filled up with zero weights. Order of the 16 weights of one input:
//   f32, f16: output 0 .. 15
//   bf16:     0, 8, 1, 9, .. 7, 15: a 32-bit word then widens to outputs j and j + 8 by shift and
//   mask int4:     four inputs together, 8 words; nibble 2 i + h of word j is output j + 8 h of
//   input i
//
// y = W x is summed in panels of inputs. Inside a panel each output is one chain of fused
// multiply-adds in the order of the inputs, from 0; the panels' sums are added to y in order. So
// the bits of y depend on W and x alone: not on other rows, threads, tiles or the instructions
// used.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice {

inline constexpr uint32_t kStripOutputs = 16;

// Inputs of one panel: 256 * 16 weights in float32 are 16 KiB, half of an L1 cache.
inline constexpr uint32_t kPanelInputs = 256;

// Inputs of a quantised matrix come in fours.
inline constexpr uint32_t kInt4Inputs = 4;

enum class WeightType { kF32, kBf16, kF16, kInt4 };

struct Matrix {
  WeightType type = WeightType::kF32;
  uint32_t outputs = 0;
  uint32_t inputs = 0;
  uint32_t group_inputs = 0;         // int4: inputs that share a scale
  const uint8_t* weights = nullptr;  // [strips][inputs][16], as drawn above
  const float* scales = nullptr;     // int4: [strips][groups][16]
  const uint8_t* zeros = nullptr;    // int4: [strips][groups][16]
  const float* bias = nullptr;       // [strips * 16], or null

  uint32_t strips() const { return (outputs + kStripOutputs - 1) / kStripOutputs; }
  uint32_t groups() const { return inputs / group_inputs; }

  // A panel never spans two groups, nor does a group's sum wait for its end: a group longer than a
  // panel is scaled panel by panel.
  uint32_t panel_inputs() const {
    return type == WeightType::kInt4 ? std::min(group_inputs, kPanelInputs) : kPanelInputs;
  }

  uint64_t strip_bytes() const {
    const uint64_t weights_count = uint64_t{inputs} * kStripOutputs;
    switch (type) {
      case WeightType::kF32:
        return weights_count * 4;
      case WeightType::kBf16:
      case WeightType::kF16:
        return weights_count * 2;
      case WeightType::kInt4:
        return weights_count / 2;
    }
    return 0;
  }
};

// Where output `output` of a strip stands among the 16 weights of an input.
inline uint32_t weight_slot(WeightType type, uint32_t output) {
  if (type == WeightType::kBf16) return output % 8 * 2 + output / 8;
  return output;
}

}  // namespace sluice
