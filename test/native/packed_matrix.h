// Random matrices for kernel tests, packed as the loader packs them, with the stored values in
// float64 beside them.
#pragma once

#include <cstring>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/matmul.h"
#include "kernels/pack.h"
#include "random.h"
#include "runtime/isa.h"
#include "runtime/large_buffer.h"

namespace sluice::check {

struct PackedMatrix {
  Matrix matrix;
  std::vector<double> values;  // [outputs, inputs], what the stored bits mean
  LargeBuffer memory;
  std::vector<float> bias;
};

struct MatrixShape {
  WeightType type = WeightType::kF32;
  uint32_t outputs = 0;
  uint32_t inputs = 0;
  uint32_t group = 0;  // int4
  bool has_bias = false;
};

inline std::vector<uint8_t> stored_rows(DenseType type, const std::vector<float>& values) {
  std::vector<uint8_t> bytes(values.size() * dense_bytes(type));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == DenseType::kF32) {
      std::memcpy(&bytes[i * 4], &values[i], 4);
      continue;
    }
    const uint16_t half = type == DenseType::kBf16 ? f32_to_bf16(values[i]) : f32_to_f16(values[i]);
    std::memcpy(&bytes[i * 2], &half, 2);
  }
  return bytes;
}

inline void fill_dense(const MatrixShape& shape, RandomSource* random, PackedMatrix* out) {
  const DenseType type = shape.type == WeightType::kF32    ? DenseType::kF32
                         : shape.type == WeightType::kBf16 ? DenseType::kBf16
                                                           : DenseType::kF16;
  std::vector<float> values = random->normals(size_t{shape.outputs} * shape.inputs);
  // One input far larger than the others, and some that vanish.
  for (uint32_t n = 0; n < shape.outputs; ++n) values[size_t{n} * shape.inputs] *= 1000;
  values[values.size() / 2] = 1e-30f;
  const std::vector<uint8_t> rows = stored_rows(type, values);
  std::vector<float> widened(values.size());
  widen_dense(type, rows.data(), values.size(), widened.data());
  out->values.assign(widened.begin(), widened.end());
  Matrix& matrix = out->matrix;
  SLUICE_CHECK(LargeBuffer::allocate(matrix.strips() * matrix.strip_bytes(), &out->memory).is_ok());
  matrix.weights = out->memory.data();
  for (uint32_t strip = 0; strip < matrix.strips(); ++strip) {
    PackDenseArgs pack;
    pack.from = pack.to = type;
    const uint32_t row = strip * kStripOutputs;
    pack.rows = rows.data() + uint64_t{row} * shape.inputs * dense_bytes(type);
    pack.rows_count = std::min(kStripOutputs, shape.outputs - row);
    pack.inputs = shape.inputs;
    pack.strip = out->memory.data() + strip * matrix.strip_bytes();
    SLUICE_CHECK(pack_dense_strip(pack));
  }
}

// The nibble order is written out here as AutoAWQ publishes it, not taken from the product.
inline void fill_int4(const MatrixShape& shape, RandomSource* random, PackedMatrix* out) {
  constexpr uint32_t kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};  // nibble i holds column kOrder[i]
  const uint32_t groups = shape.inputs / shape.group;
  const uint32_t row_words = shape.outputs / 8;
  std::vector<uint32_t> qweight(size_t{shape.inputs} * row_words);
  std::vector<uint32_t> qzeros(size_t{groups} * row_words);
  for (uint32_t& word : qweight) word = random->below(0xFFFFFFFF);
  for (uint32_t& word : qzeros) word = random->below(0xFFFFFFFF);
  std::vector<float> scales = random->normals(size_t{groups} * shape.outputs, 0.1f);
  scales[0] = 0;
  const std::vector<uint8_t> stored = stored_rows(DenseType::kF16, scales);
  out->values.resize(size_t{shape.outputs} * shape.inputs);
  const auto nibble = [&](const std::vector<uint32_t>& words, uint32_t row, uint32_t n) {
    for (uint32_t i = 0; i < 8; ++i) {
      if (kOrder[i] == n % 8) return words[size_t{row} * row_words + n / 8] >> (4 * i) & 15;
    }
    return 0u;
  };
  for (uint32_t n = 0; n < shape.outputs; ++n) {
    for (uint32_t k = 0; k < shape.inputs; ++k) {
      const uint32_t group = k / shape.group;
      const double q = nibble(qweight, k, n);
      const double zero = nibble(qzeros, group, n);
      uint16_t half;
      std::memcpy(&half, &stored[(size_t{group} * shape.outputs + n) * 2], 2);
      out->values[size_t{n} * shape.inputs + k] =
          (q - zero) * static_cast<double>(f16_to_f32(half));
    }
  }
  Matrix& matrix = out->matrix;
  const uint64_t scale_count = uint64_t{matrix.strips()} * groups * kStripOutputs;
  const uint64_t words = matrix.strips() * matrix.strip_bytes();
  SLUICE_CHECK(LargeBuffer::allocate(words + scale_count * 5, &out->memory).is_ok());
  auto* scales_out = reinterpret_cast<float*>(out->memory.data() + words);
  uint8_t* zeros_out = out->memory.data() + words + scale_count * 4;
  matrix.weights = out->memory.data();
  matrix.scales = scales_out;
  matrix.zeros = zeros_out;
  const StoredInt4 tensors{Int4Packing::kAwqGemm,
                           qweight.data(),
                           qzeros.data(),
                           stored.data(),
                           DenseType::kF16,
                           shape.inputs,
                           shape.outputs,
                           groups};
  for (uint32_t strip = 0; strip < matrix.strips(); ++strip) {
    const uint64_t at = uint64_t{strip} * groups * kStripOutputs;
    auto* to = reinterpret_cast<uint32_t*>(out->memory.data() + strip * matrix.strip_bytes());
    pack_int4_strip(tensors, {strip, to, scales_out + at, zeros_out + at});
  }
}

inline PackedMatrix make_matrix(const MatrixShape& shape, RandomSource* random) {
  PackedMatrix out;
  out.matrix.type = shape.type;
  out.matrix.outputs = shape.outputs;
  out.matrix.inputs = shape.inputs;
  out.matrix.group_inputs = shape.group;
  if (shape.type == WeightType::kInt4) {
    fill_int4(shape, random, &out);
  } else {
    fill_dense(shape, random, &out);
  }
  if (shape.has_bias) {
    out.bias = random->normals(size_t{out.matrix.strips()} * kStripOutputs);
    out.matrix.bias = out.bias.data();
  }
  return out;
}

}  // namespace sluice::check
