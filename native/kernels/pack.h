// Puts stored weights into the strips that matrix.h describes, while a model is loaded. Only a
// change of dtype rounds; everything else moves bits.
#pragma once

#include <cstdint>

#include "kernels/matrix.h"

namespace sluice {

enum class DenseType { kF32, kBf16, kF16 };

constexpr uint32_t dense_bytes(DenseType type) {
  return type == DenseType::kF32 ? 4 : 2;
}

struct PackDenseArgs {
  DenseType from = DenseType::kF32;
  DenseType to = DenseType::kF32;
  const uint8_t* rows = nullptr;  // [rows_count, inputs], as stored
  uint32_t rows_count = 0;        // at most kStripOutputs; the rest of the strip becomes zeros
  uint32_t inputs = 0;
  uint8_t* strip = nullptr;
};

// False where a finite value became infinite: it does not fit the type.
bool pack_dense_strip(const PackDenseArgs& args);

// Widens `count` stored values.
void widen_dense(DenseType from, const uint8_t* values, uint64_t count, float* out);

// Tensors of one module in AutoAWQ's GEMM layout: eight 4-bit values a word along the outputs,
// value n of a word at nibble (n >> 1) | ((n & 1) << 2).
struct AwqTensors {
  const uint32_t* qweight = nullptr;  // [inputs, outputs / 8]
  const uint32_t* qzeros = nullptr;   // [groups, outputs / 8], or null: all 8
  const uint8_t* scales = nullptr;    // [groups, outputs] of scale_type
  DenseType scale_type = DenseType::kF16;
  uint32_t inputs = 0;
  uint32_t outputs = 0;
  uint32_t groups = 0;
};

// Where one strip of an int4 Matrix goes.
struct AwqStrip {
  uint32_t index = 0;
  uint32_t* words = nullptr;  // [inputs / 4, 8]
  float* scales = nullptr;    // [groups, 16]
  uint8_t* zeros = nullptr;   // [groups, 16]
};

void pack_awq_strip(const AwqTensors& tensors, const AwqStrip& strip);

}  // namespace sluice
