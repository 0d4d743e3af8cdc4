// Random weight matrices for the linear layers' tests: checkpoint tensors as a file has them, put
// on the device by the loader's own functions, and beside them what the stored bits mean, computed
// from the formats' published formulas. The reference is a plain sum in float64.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "check.h"
#include "device_array.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/weights.h"
#include "kernels/dtype.h"

namespace sluice::check {

enum class Source { kBf16, kF16, kAwq, kAwqSymmetric, kPacked, kPackedSymmetric, kInt8 };

struct MatrixSpec {
  Source source = Source::kBf16;
  uint32_t outputs = 0;
  uint32_t inputs = 0;
  uint32_t group = 128;  // the checkpoint's, of int4
  bool is_gated = false;
  bool has_bias = false;
};

struct TestMatrix {
  DeviceMatrix matrix;
  std::vector<float> values;  // [outputs, inputs] in the matrix's order, exact
  std::vector<float> bias;
  DeviceArray<uint8_t> weights;
  DeviceArray<uint8_t> scales;
  DeviceArray<uint16_t> device_bias;
  DeviceArray<float> device_values;
};

inline bool is_int4(Source source) {
  return source != Source::kBf16 && source != Source::kF16 && source != Source::kInt8;
}

inline DeviceFormat format_of(Source source) {
  if (is_int4(source)) return DeviceFormat::kInt4;
  return source == Source::kInt8 ? DeviceFormat::kInt8 : DeviceFormat::kBf16;
}

// What one tensor's part of the matrix is made of; `at(row)` is where its rows go.
struct Part {
  const MatrixSpec& spec;
  uint32_t first;
  uint32_t rows;
  RowPlacement placement;

  uint32_t at(uint32_t row) const {
    if (!spec.is_gated) return first + row;
    return row / 8 * 16 + row % 8 + (placement.first == 8 ? 8 : 0);
  }
};

inline void fill_dense(const Part& part, FastRandom* random, TestMatrix* out) {
  const uint32_t inputs = part.spec.inputs;
  const float scale = 1 / std::sqrt(static_cast<float>(inputs));
  const bool is_f16 = part.spec.source == Source::kF16;
  std::vector<uint16_t> stored(size_t{part.rows} * inputs);
  for (size_t i = 0; i < stored.size(); ++i) {
    const float wish = random->value() * scale;
    stored[i] = is_f16 ? f32_to_f16(wish) : f32_to_bf16(wish);
    const float kept =
        is_f16 ? bf16_to_f32(f32_to_bf16(f16_to_f32(stored[i]))) : bf16_to_f32(stored[i]);
    const auto row = static_cast<uint32_t>(i / inputs);
    out->values[size_t{part.at(row)} * inputs + i % inputs] = kept;
  }
  const DeviceArray<uint16_t> device(stored);
  const DenseTensor tensor{
      is_f16 ? DenseType::kF16 : DenseType::kBf16, device.data(), part.rows, inputs};
  CHECK(
      place_dense(tensor, part.placement, reinterpret_cast<uint16_t*>(out->weights.data()), nullptr)
          .is_ok());
  CHECK_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

inline void fill_int8(const Part& part, FastRandom* random, TestMatrix* out) {
  const uint32_t inputs = part.spec.inputs;
  std::vector<int8_t> stored(size_t{part.rows} * inputs);
  std::vector<uint16_t> scales(part.rows);
  for (uint16_t& scale : scales) {
    scale = f32_to_bf16((0.5f + random->below(100) * 0.01f) / (74 * std::sqrt(float(inputs))));
  }
  for (size_t i = 0; i < stored.size(); ++i) {
    stored[i] = static_cast<int8_t>(random->below(256));
    const auto row = static_cast<uint32_t>(i / inputs);
    out->values[size_t{part.at(row)} * inputs + i % inputs] =
        static_cast<float>(stored[i]) * bf16_to_f32(scales[row]);
  }
  const DeviceArray<int8_t> weights(stored);
  const DeviceArray<uint16_t> device_scales(scales);
  const Int8Tensors tensors{
      weights.data(), device_scales.data(), DenseType::kBf16, part.rows, inputs};
  CHECK(place_int8(tensors, part.placement, out->matrix, nullptr).is_ok());
  CHECK_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

inline void set_nibble(std::vector<uint32_t>* words, uint64_t word, uint32_t nibble, uint32_t q) {
  (*words)[word] |= q << (4 * nibble);
}

// AutoAWQ's order inside a word of eight outputs.
inline uint32_t awq_slot(uint32_t output) {
  constexpr uint32_t kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};  // nibble i holds column kOrder[i]
  for (uint32_t nibble = 0; nibble < 8; ++nibble) {
    if (kOrder[nibble] == output % 8) return nibble;
  }
  return 8;
}

inline void fill_int4(const Part& part, FastRandom* random, TestMatrix* out) {
  const MatrixSpec& spec = part.spec;
  const bool is_awq = spec.source == Source::kAwq || spec.source == Source::kAwqSymmetric;
  const bool has_zeros = spec.source == Source::kAwq || spec.source == Source::kPacked;
  const uint32_t inputs = spec.inputs;
  const uint32_t groups = inputs / spec.group;
  std::vector<uint32_t> words(size_t{part.rows} * inputs / 8);
  std::vector<uint32_t> zero_words(size_t{part.rows} / 8 * groups);
  std::vector<uint16_t> scales(size_t{part.rows} * groups);
  for (uint32_t row = 0; row < part.rows; ++row) {
    for (uint32_t group = 0; group < groups; ++group) {
      const uint32_t zero = has_zeros ? random->below(16) : 8;
      const float wish = (0.2f + random->below(100) * 0.01f) / (5 * std::sqrt(float(inputs)));
      const uint16_t scale = random->below(50) == 0 ? 0 : f32_to_f16(wish);
      scales[is_awq ? size_t{group} * part.rows + row : size_t{row} * groups + group] = scale;
      if (is_awq) {
        set_nibble(&zero_words, size_t{group} * (part.rows / 8) + row / 8, awq_slot(row), zero);
      } else {
        set_nibble(&zero_words, size_t{row / 8} * groups + group, row % 8, zero);
      }
      const uint32_t style = random->below(40);  // now and then a group of one value
      for (uint32_t k = group * spec.group; k < (group + 1) * spec.group; ++k) {
        const uint32_t q = style == 0 ? 0 : style == 1 ? 15 : random->below(16);
        if (is_awq) {
          set_nibble(&words, size_t{k} * (part.rows / 8) + row / 8, awq_slot(row), q);
        } else {
          set_nibble(&words, size_t{row} * (inputs / 8) + k / 8, k % 8, q);
        }
        out->values[size_t{part.at(row)} * inputs + k] =
            static_cast<float>(static_cast<int>(q) - static_cast<int>(zero)) * f16_to_f32(scale);
      }
    }
  }
  const DeviceArray<uint32_t> weights(words);
  const DeviceArray<uint32_t> zeros(zero_words);
  const DeviceArray<uint16_t> device_scales(scales);
  const Int4Tensors tensors{is_awq ? Int4Packing::kAwqGemm : Int4Packing::kPackQuantized,
                            weights.data(),
                            has_zeros ? zeros.data() : nullptr,
                            device_scales.data(),
                            DenseType::kF16,
                            part.rows,
                            inputs,
                            spec.group};
  CHECK(place_int4(tensors, part.placement, out->matrix, nullptr).is_ok());
  CHECK_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

inline void fill_part(const Part& part, FastRandom* random, TestMatrix* out) {
  if (is_int4(part.spec.source)) return fill_int4(part, random, out);
  if (part.spec.source == Source::kInt8) return fill_int8(part, random, out);
  fill_dense(part, random, out);
}

// Gated matrices come from two tensors, interleaved; others from two stacked ones where the rows
// allow, else from one.
inline TestMatrix make_matrix(const MatrixSpec& spec, uint64_t seed) {
  TestMatrix made;
  DeviceMatrix& matrix = made.matrix;
  matrix.format = format_of(spec.source);
  matrix.outputs = spec.outputs;
  matrix.inputs = spec.inputs;
  if (is_int4(spec.source)) matrix.group_inputs = device_group_inputs(spec.group);
  made.weights = DeviceArray<uint8_t>(device_weight_bytes(matrix));
  made.scales = DeviceArray<uint8_t>(device_scale_bytes(matrix));
  if (is_int4(spec.source)) {
    cudaMemset(made.weights.data(), 0, made.weights.size());
    cudaMemset(made.scales.data(), 0, made.scales.size());
  }
  matrix.weights = made.weights.data();
  matrix.scales = made.scales.data();
  made.values.resize(size_t{spec.outputs} * spec.inputs);
  FastRandom random(seed);
  const uint32_t half = spec.is_gated ? spec.outputs / 2 : spec.outputs / 32 * 16;
  if (spec.is_gated) {
    fill_part({spec, 0, half, kGateRows}, &random, &made);
    fill_part({spec, 0, half, kUpRows}, &random, &made);
  } else {
    if (half != 0) fill_part({spec, 0, half, {0, 8, 8}}, &random, &made);
    fill_part({spec, half, spec.outputs - half, {half, 8, 8}}, &random, &made);
  }
  if (spec.has_bias) {
    std::vector<uint16_t> bias(spec.outputs);
    for (uint16_t& value : bias) value = f32_to_bf16(random.value());
    for (const uint16_t value : bias) made.bias.push_back(bf16_to_f32(value));
    made.device_bias = DeviceArray<uint16_t>(bias);
    matrix.bias = made.device_bias.data();
  }
  made.device_values = DeviceArray<float>(made.values);
  return made;
}

struct ReferenceArgs {
  const float* w;
  const uint16_t* x;
  uint32_t inputs;
  uint32_t x_stride;
  double* y;
};

// One warp an output: sum of w x in float64.
__global__ void reference_kernel(const ReferenceArgs args) {
  const auto [w, x, inputs, x_stride, y] = args;
  const uint64_t output = blockIdx.x;
  const uint64_t row = blockIdx.y;
  double sum = 0;
  for (uint32_t k = threadIdx.x; k < inputs; k += 32) {
    const float value = __uint_as_float(uint32_t{x[row * x_stride + k]} << 16);
    sum += static_cast<double>(w[output * inputs + k]) * static_cast<double>(value);
  }
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
  if (threadIdx.x == 0) y[row * gridDim.x + output] = sum;
}

// [rows, outputs], bias included.
inline std::vector<double> reference_linear(const TestMatrix& test,
                                            const DeviceArray<uint16_t>& x,
                                            uint32_t x_stride,
                                            uint32_t rows) {
  const uint32_t outputs = test.matrix.outputs;
  const DeviceArray<double> y(size_t{rows} * outputs);
  const ReferenceArgs args{
      test.device_values.data(), x.data(), test.matrix.inputs, x_stride, y.data()};
  reference_kernel<<<dim3(outputs, rows), 32>>>(args);
  std::vector<double> sums = y.read();
  for (size_t i = 0; i < sums.size() && !test.bias.empty(); ++i) sums[i] += test.bias[i % outputs];
  return sums;
}

}  // namespace sluice::check
