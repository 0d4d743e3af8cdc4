// Widening an int4 strip reads 16 bytes a lane and writes whole rows through shared memory, so that
// both sides are coalesced.
#include <cuda_bf16.h>

#include "kernels/cuda/dense.h"
#include "kernels/cuda/int4_layout.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/vector.cuh"

namespace sluice {
namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kWarps = kThreads / 32;

// A warp widens 16 outputs x 64 inputs; its rows of 128 bytes are padded against bank conflicts.
constexpr uint32_t kTileStride = kInt4BlockInputs / 2 + 4;  // words

struct WidenParameters {
  const void* weights;
  const void* scales;
  uint16_t* out;
  uint32_t outputs;
  uint32_t inputs;
  uint32_t group_inputs;
  uint32_t first;
  uint32_t count;
};

// Both values of a register, scaled and rounded to bf16.
__device__ uint32_t scaled_pair(uint32_t word, uint32_t shift, uint32_t scale_word) {
  const float scale = __uint_as_float(scale_word & ~15u);
  const auto zero = static_cast<int>(scale_word & 15);
  const auto low = static_cast<float>(static_cast<int>(word >> shift & 15) - zero);
  const auto high = static_cast<float>(static_cast<int>(word >> (shift + 16) & 15) - zero);
  return narrow2(low * scale, high * scale);
}

__global__ __launch_bounds__(kThreads) void widen_int4_kernel(const WidenParameters p) {
  __shared__ uint32_t tiles[kWarps][kInt4StripOutputs * kTileStride];
  pdl_launch_dependents();
  pdl_wait();
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t blocks = int4_padded_inputs(p.inputs) / kInt4BlockInputs;
  const uint32_t block = blockIdx.x * kWarps + threadIdx.x / 32;
  const uint32_t strip = p.first / kInt4StripOutputs + blockIdx.y;
  if (block >= blocks) return;
  uint32_t* tile = tiles[threadIdx.x / 32];
  const auto* weights = static_cast<const uint4*>(p.weights);
  const uint4 raw = load_weights16(weights + (uint64_t{strip} * blocks + block) * 32 + lane);
  const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
  const auto* scales = static_cast<const uint2*>(p.scales);
  const uint32_t groups = blocks * kInt4BlockInputs / p.group_inputs;
  const uint32_t g = lane / 4;
  const uint32_t t = lane % 4;
#pragma unroll
  for (uint32_t step = 0; step < 4; ++step) {
    const uint32_t group = (block * kInt4BlockInputs + step * 16) / p.group_inputs;
    const uint2 scale = scales[(uint64_t{strip} * groups + group) * 8 + g];
    const uint32_t column = step * 8 + t;
    tile[g * kTileStride + column] = scaled_pair(words[step], 0, scale.x);
    tile[(g + 8) * kTileStride + column] = scaled_pair(words[step], 4, scale.y);
    tile[g * kTileStride + column + 4] = scaled_pair(words[step], 8, scale.x);
    tile[(g + 8) * kTileStride + column + 4] = scaled_pair(words[step], 12, scale.y);
  }
  __syncwarp();
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t row = i * 4 + lane / 8;
    const uint32_t input = block * kInt4BlockInputs + lane % 8 * 8;
    const uint32_t output = blockIdx.y * kInt4StripOutputs + row;
    if (output >= p.count || input >= p.inputs) continue;
    const uint4 vector = *reinterpret_cast<const uint4*>(tile + row * kTileStride + lane % 8 * 4);
    *reinterpret_cast<uint4*>(p.out + uint64_t{output} * p.inputs + input) = vector;
  }
}

// Eight weights a thread.
__global__ __launch_bounds__(kThreads) void widen_int8_kernel(const WidenParameters p) {
  pdl_launch_dependents();
  pdl_wait();
  const uint32_t vectors = p.inputs / 8;
  const uint32_t vector = blockIdx.x * kThreads + threadIdx.x;
  if (vector >= vectors) return;
  const uint32_t output = p.first + blockIdx.y;
  const auto* row = static_cast<const uint8_t*>(p.weights) + uint64_t{output} * p.inputs;
  const uint2 raw = load_weights8(row + vector * 8);
  const float scale = static_cast<const float*>(p.scales)[output];
  const uint32_t words[2] = {__byte_perm(raw.x, 0, 0x3120), __byte_perm(raw.y, 0, 0x3120)};
  Float8 wide;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const auto value = static_cast<int8_t>(words[i / 4] >> (8 * (i % 4)));
    wide.v[i] = static_cast<float>(value) * scale;
  }
  reinterpret_cast<uint4*>(p.out + uint64_t{blockIdx.y} * p.inputs)[vector] = narrow8(wide);
}

__global__ __launch_bounds__(kThreads) void gate_mul_kernel(const GateArgs args) {
  pdl_launch_dependents();
  pdl_wait();
  const uint32_t i = blockIdx.y * kThreads + threadIdx.x;
  if (i >= args.width / 8) return;
  const uint64_t row = blockIdx.x;
  const auto* from = reinterpret_cast<const uint4*>(args.gate_up + row * 2 * args.width) + 2 * i;
  const Float8 gate = widen8(from[0]);
  const Float8 up = widen8(from[1]);
  Float8 out;
#pragma unroll
  for (int e = 0; e < 8; ++e) out.v[e] = gate.v[e] / (1.0f + __expf(-gate.v[e])) * up.v[e];
  reinterpret_cast<uint4*>(args.out + row * args.out_stride)[i] = narrow8(out);
}

}  // namespace

Status widen_weights(const WidenArgs& args, DeviceStream stream) {
  const DeviceMatrix& matrix = *args.matrix;
  const WidenParameters p{matrix.weights,
                          matrix.scales,
                          args.out,
                          matrix.outputs,
                          matrix.inputs,
                          matrix.group_inputs,
                          args.first,
                          args.count};
  if (matrix.format == DeviceFormat::kInt8) {
    const uint32_t blocks = (matrix.inputs / 8 + kThreads - 1) / kThreads;
    return launch_kernel(widen_int8_kernel, {dim3(blocks, args.count), dim3(kThreads)}, stream, p);
  }
  const uint32_t blocks = int4_padded_inputs(matrix.inputs) / kInt4BlockInputs;
  const dim3 grid((blocks + kWarps - 1) / kWarps,
                  (args.count + kInt4StripOutputs - 1) / kInt4StripOutputs);
  return launch_kernel(widen_int4_kernel, {grid, dim3(kThreads)}, stream, p);
}

Status gate_mul(const GateArgs& args, DeviceStream stream) {
  const uint32_t blocks = (args.width / 8 + kThreads - 1) / kThreads;
  return launch_kernel(gate_mul_kernel, {dim3(args.rows, blocks), dim3(kThreads)}, stream, args);
}

}  // namespace sluice
