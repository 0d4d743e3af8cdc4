// Where each 4-bit weight of a matrix lies for the tensor cores. A strip of 16 outputs and 64
// inputs is 32 lanes x 16 bytes: word j of a lane is its A fragment of the m16n8k16 step over
// inputs 16 j .. 16 j + 15. With lane = 4 g + t, nibble p = i + 4 h of a word is register i's
// half h:
//
//   register 0: output g,     inputs 2t + h        register 2: output g,     inputs 2t + 8 + h
//   register 1: output g + 8, inputs 2t + h        register 3: output g + 8, inputs 2t + 8 + h
//
// so that (word >> 4 i) & 0x000F000F holds register i's two values, 16 bits apart.
#pragma once

#include <cstdint>

#include "kernels/cuda/host_device.h"

namespace sluice {

inline constexpr uint32_t kInt4StripOutputs = 16;
inline constexpr uint32_t kInt4BlockInputs = 64;
inline constexpr uint32_t kInt4PadInputs = 128;
inline constexpr uint32_t kInt4LaneWords = 4;
inline constexpr uint32_t kLanes = 32;

SLUICE_HOST_DEVICE uint32_t int4_padded_inputs(uint32_t inputs) {
  return (inputs + kInt4PadInputs - 1) / kInt4PadInputs * kInt4PadInputs;
}

struct Int4Position {
  uint64_t word;    // in the matrix
  uint32_t nibble;  // in the word
};

SLUICE_HOST_DEVICE Int4Position int4_position(uint32_t output, uint32_t input, uint32_t inputs) {
  const uint32_t row = output % kInt4StripOutputs;
  const uint32_t step_input = input % 16;
  const uint32_t lane = row % 8 * 4 + step_input % 8 / 2;
  const uint64_t blocks = int4_padded_inputs(inputs) / kInt4BlockInputs;
  const uint64_t block = output / kInt4StripOutputs * blocks + input / kInt4BlockInputs;
  const uint32_t step = input % kInt4BlockInputs / 16;
  return {(block * kLanes + lane) * kInt4LaneWords + step,
          row / 8 + 2 * (step_input / 8) + 4 * (step_input % 2)};
}

// The reverse inside a word: the output of the strip, and the input of the block of 64.
struct Int4Weight {
  uint32_t output;
  uint32_t input;
};

SLUICE_HOST_DEVICE Int4Weight int4_weight(uint32_t lane, uint32_t step, uint32_t nibble) {
  const uint32_t i = nibble % 4;
  return {lane / 4 + 8 * (i % 2), 16 * step + 2 * (lane % 4) + 8 * (i / 2) + nibble / 4};
}

// Scales of outputs g and g + 8 stand side by side: a lane takes both in one access.
SLUICE_HOST_DEVICE uint64_t int4_scale_index(uint32_t output, uint32_t group, uint32_t groups) {
  const uint64_t strip = output / kInt4StripOutputs;
  const uint32_t row = output % kInt4StripOutputs;
  return ((strip * groups + group) * 8 + row % 8) * 2 + row / 8;
}

// float32 whose lowest 4 bits are the zero point: exact for scales stored as f16 or bf16.
SLUICE_HOST_DEVICE uint32_t int4_scale_word(uint32_t scale_bits, uint32_t zero) {
  return ((scale_bits + 8) & ~15u) | zero;
}

}  // namespace sluice
