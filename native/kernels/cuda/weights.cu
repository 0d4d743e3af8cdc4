// Placing is a gather, one thread for each word of the result: loading is bound by the disk and
// the bus, not by this.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/int4_layout.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/weights.h"

namespace sluice {
namespace {

constexpr uint32_t kThreads = 256;

dim3 blocks_for(uint64_t threads) {
  return dim3(static_cast<uint32_t>((threads + kThreads - 1) / kThreads));
}

__device__ float widen(DenseType type, const void* values, uint64_t at) {
  switch (type) {
    case DenseType::kF32:
      return static_cast<const float*>(values)[at];
    case DenseType::kBf16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(values)[at]);
    case DenseType::kF16:
      return __half2float(static_cast<const __half*>(values)[at]);
  }
  return 0;
}

__device__ uint32_t placed_row(const RowPlacement& placement, uint32_t row) {
  return placement.first + row / placement.block * placement.stride + row % placement.block;
}

// The tensor's row that becomes row `placed`; `rows` where none does.
__device__ uint32_t row_of_placed(const RowPlacement& placement, uint32_t placed, uint32_t rows) {
  if (placed < placement.first) return rows;
  const uint32_t at = placed - placement.first;
  if (at % placement.stride >= placement.block) return rows;
  return min(at / placement.stride * placement.block + at % placement.stride, rows);
}

__global__ void place_dense_kernel(DenseTensor tensor, RowPlacement placement, uint16_t* out) {
  pdl_wait();
  const uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= uint64_t{tensor.rows} * tensor.inputs) return;
  const auto row = static_cast<uint32_t>(i / tensor.inputs);
  const auto input = static_cast<uint32_t>(i % tensor.inputs);
  const uint64_t at = uint64_t{placed_row(placement, row)} * tensor.inputs + input;
  reinterpret_cast<__nv_bfloat16*>(out)[at] =
      __float2bfloat16_rn(widen(tensor.type, tensor.values, i));
}

__device__ uint32_t awq_nibble(const uint32_t* words,
                               uint64_t row_words,
                               uint64_t row,
                               uint32_t column) {
  const uint32_t c = column % 8;
  return words[row * row_words + column / 8] >> (4 * (c / 2 + c % 2 * 4)) & 15;
}

__device__ uint32_t weight_of(const Int4Tensors& t, uint32_t output, uint32_t input) {
  if (t.packing == Int4Packing::kAwqGemm) {
    return awq_nibble(t.weights, t.outputs / 8, input, output);
  }
  const uint64_t word = uint64_t{output} * (t.inputs / 8) + input / 8;
  return t.weights[word] >> (4 * (input % 8)) & 15;
}

__device__ uint32_t zero_of(const Int4Tensors& t, uint32_t output, uint32_t group) {
  if (t.zeros == nullptr) return 8;
  if (t.packing == Int4Packing::kAwqGemm) {
    return awq_nibble(t.zeros, t.outputs / 8, group, output);
  }
  const uint64_t word = uint64_t{output / 8} * (t.inputs / t.group_inputs) + group;
  return t.zeros[word] >> (4 * (output % 8)) & 15;
}

// The words of some strips of a matrix.
struct Int4Words {
  uint32_t first_strip;
  uint64_t count;
  uint32_t* out;  // the matrix's
};

// A word may hold outputs of two tensors (gate and up), which may be placed at the same time on two
// streams: each adds its own nibbles.
__global__ void place_int4_kernel(Int4Tensors t, RowPlacement placement, Int4Words to) {
  pdl_wait();
  const uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= to.count) return;
  const uint32_t blocks = int4_padded_inputs(t.inputs) / kInt4BlockInputs;
  const auto step = static_cast<uint32_t>(i % kInt4LaneWords);
  const auto lane = static_cast<uint32_t>(i / kInt4LaneWords % kLanes);
  const uint64_t block = i / (kInt4LaneWords * kLanes);
  const uint32_t strip = to.first_strip + static_cast<uint32_t>(block / blocks);
  const uint32_t first_input = static_cast<uint32_t>(block % blocks) * kInt4BlockInputs;
  uint32_t word = 0;
  for (uint32_t nibble = 0; nibble < 8; ++nibble) {
    const Int4Weight weight = int4_weight(lane, step, nibble);
    const uint32_t output =
        row_of_placed(placement, strip * kInt4StripOutputs + weight.output, t.outputs);
    const uint32_t input = first_input + weight.input;
    if (output >= t.outputs || input >= t.inputs) continue;
    word |= weight_of(t, output, input) << (4 * nibble);
  }
  const uint64_t at = uint64_t{to.first_strip} * blocks * kLanes * kInt4LaneWords + i;
  if (word != 0) atomicOr(to.out + at, word);
}

__global__ void place_int4_scales_kernel(Int4Tensors t,
                                         RowPlacement placement,
                                         uint32_t group_inputs,
                                         uint32_t* out) {
  pdl_wait();
  const uint32_t groups = t.inputs / group_inputs;
  const uint32_t padded_groups = int4_padded_inputs(t.inputs) / group_inputs;
  const uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= uint64_t{groups} * t.outputs) return;
  const auto output = static_cast<uint32_t>(i % t.outputs);
  const auto group = static_cast<uint32_t>(i / t.outputs);
  const uint32_t from = group * group_inputs / t.group_inputs;
  const uint64_t at = t.packing == Int4Packing::kAwqGemm
                          ? uint64_t{from} * t.outputs + output
                          : uint64_t{output} * (t.inputs / t.group_inputs) + from;
  const uint32_t bits = __float_as_uint(widen(t.scale_type, t.scales, at));
  out[int4_scale_index(placed_row(placement, output), group, padded_groups)] =
      int4_scale_word(bits, zero_of(t, output, from));
}

__global__ void place_int8_kernel(Int8Tensors t, RowPlacement placement, uint32_t* out) {
  pdl_wait();
  const uint32_t row_words = t.inputs / 4;
  const uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= uint64_t{t.outputs} * row_words) return;
  const auto row = static_cast<uint32_t>(i / row_words);
  const uint32_t word = reinterpret_cast<const uint32_t*>(t.weights)[i];
  out[uint64_t{placed_row(placement, row)} * row_words + i % row_words] =
      __byte_perm(word, 0, 0x3120);
}

__global__ void place_int8_scales_kernel(Int8Tensors t, RowPlacement placement, float* out) {
  pdl_wait();
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i < t.outputs) out[placed_row(placement, i)] = widen(t.scale_type, t.scales, i);
}

Status unsupported(const char* what, uint32_t found, const char* rule) {
  return {StatusCode::kUnsupported,
          std::string(what) + " of " + std::to_string(found) + "; supported on a device: " + rule};
}

uint32_t strip_of_last(const RowPlacement& placement, uint32_t rows) {
  const uint32_t last = rows - 1;
  return (placement.first + last / placement.block * placement.stride + last % placement.block) /
         kInt4StripOutputs;
}

}  // namespace

uint64_t device_weight_bytes(const DeviceMatrix& matrix) {
  const uint64_t strips = (matrix.outputs + kInt4StripOutputs - 1) / kInt4StripOutputs;
  switch (matrix.format) {
    case DeviceFormat::kBf16:
      return uint64_t{matrix.outputs} * matrix.inputs * 2;
    case DeviceFormat::kInt8:
      return uint64_t{matrix.outputs} * matrix.inputs;
    case DeviceFormat::kInt4:
      return strips * kInt4StripOutputs * int4_padded_inputs(matrix.inputs) / 2;
  }
  return 0;
}

uint64_t device_scale_bytes(const DeviceMatrix& matrix) {
  const uint64_t strips = (matrix.outputs + kInt4StripOutputs - 1) / kInt4StripOutputs;
  switch (matrix.format) {
    case DeviceFormat::kBf16:
      return 0;
    case DeviceFormat::kInt8:
      return uint64_t{matrix.outputs} * sizeof(float);
    case DeviceFormat::kInt4:
      return strips * kInt4StripOutputs *
             (int4_padded_inputs(matrix.inputs) / matrix.group_inputs) * sizeof(uint32_t);
  }
  return 0;
}

uint32_t device_group_inputs(uint32_t checkpoint_group_inputs) {
  for (const uint32_t group : {128u, 64u, 32u}) {
    if (checkpoint_group_inputs != 0 && checkpoint_group_inputs % group == 0) return group;
  }
  return 0;
}

Status place_dense(const DenseTensor& tensor,
                   const RowPlacement& placement,
                   uint16_t* out,
                   DeviceStream stream) {
  const dim3 grid = blocks_for(uint64_t{tensor.rows} * tensor.inputs);
  return launch_kernel(place_dense_kernel, {grid, dim3(kThreads)}, stream, tensor, placement, out);
}

Status place_int4(const Int4Tensors& tensors,
                  const RowPlacement& placement,
                  const DeviceMatrix& out,
                  DeviceStream stream) {
  if (tensors.inputs % tensors.group_inputs != 0 || tensors.group_inputs % out.group_inputs != 0) {
    return unsupported("a group", tensors.group_inputs, "multiples of 32 that divide the inputs");
  }
  if (tensors.outputs % 8 != 0) {
    return unsupported("int4 outputs", tensors.outputs, "multiples of 8");
  }
  const uint32_t first_strip = placement.first / kInt4StripOutputs;
  const uint64_t strips = strip_of_last(placement, tensors.outputs) - first_strip + 1;
  const uint64_t words =
      strips * (int4_padded_inputs(tensors.inputs) / kInt4BlockInputs) * kLanes * kInt4LaneWords;
  auto* weights = static_cast<uint32_t*>(const_cast<void*>(out.weights));
  auto* scales = static_cast<uint32_t*>(const_cast<void*>(out.scales));
  SLUICE_RETURN_IF_ERROR(launch_kernel(place_int4_kernel,
                                       {blocks_for(words), dim3(kThreads)},
                                       stream,
                                       tensors,
                                       placement,
                                       Int4Words{first_strip, words, weights}));
  const uint64_t count = uint64_t{tensors.inputs / out.group_inputs} * tensors.outputs;
  return launch_kernel(place_int4_scales_kernel,
                       {blocks_for(count), dim3(kThreads)},
                       stream,
                       tensors,
                       placement,
                       out.group_inputs,
                       scales);
}

Status place_int8(const Int8Tensors& tensors,
                  const RowPlacement& placement,
                  const DeviceMatrix& out,
                  DeviceStream stream) {
  if (tensors.inputs % 16 != 0) {
    return unsupported("int8 inputs", tensors.inputs, "multiples of 16");
  }
  auto* weights = static_cast<uint32_t*>(const_cast<void*>(out.weights));
  auto* scales = static_cast<float*>(const_cast<void*>(out.scales));
  const uint64_t words = uint64_t{tensors.outputs} * tensors.inputs / 4;
  SLUICE_RETURN_IF_ERROR(launch_kernel(
      place_int8_kernel, {blocks_for(words), dim3(kThreads)}, stream, tensors, placement, weights));
  return launch_kernel(place_int8_scales_kernel,
                       {blocks_for(tensors.outputs), dim3(kThreads)},
                       stream,
                       tensors,
                       placement,
                       scales);
}

}  // namespace sluice
