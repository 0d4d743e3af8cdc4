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

// How files hold 4-bit weights.
enum class Int4Packing {
  kAwqGemm,        // qweight [inputs, outputs / 8], qzeros [groups, outputs / 8],
                   // scales [groups, outputs]; value n of a word at
                   // nibble (n >> 1) | ((n & 1) << 2)
  kPackQuantized,  // weight_packed [outputs, inputs / 8], weight_zero_point [outputs / 8, groups],
                   // weight_scale [outputs, groups]; value n of a word at nibble n
};

// The tensors of one module.
struct StoredInt4 {
  Int4Packing packing = Int4Packing::kAwqGemm;
  const uint32_t* weights = nullptr;
  const uint32_t* zeros = nullptr;  // or null: all 8
  const uint8_t* scales = nullptr;  // of scale_type
  DenseType scale_type = DenseType::kF16;
  uint32_t inputs = 0;
  uint32_t outputs = 0;
  uint32_t groups = 0;
};

// Where one strip of an int4 Matrix goes.
struct Int4Strip {
  uint32_t index = 0;
  uint32_t* words = nullptr;  // [inputs / 4, 8]
  float* scales = nullptr;    // [groups, 16]
  uint8_t* zeros = nullptr;   // [groups, 16]
};

void pack_int4_strip(const StoredInt4& stored, const Int4Strip& strip);

// Rows of int8 weights as float32: value times its row's scale. `offset` is what was added to each
// value to make it unsigned: 0 or 128.
struct WidenInt8Args {
  const uint8_t* rows = nullptr;  // [rows_count, inputs]
  const float* scales = nullptr;  // [rows_count]
  uint32_t rows_count = 0;
  uint32_t inputs = 0;
  uint8_t offset = 0;
  float* out = nullptr;  // [rows_count, inputs]
};

void widen_int8(const WidenInt8Args& args);

}  // namespace sluice
