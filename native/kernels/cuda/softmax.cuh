// The arithmetic of attention's running softmax, shared by the decode and the prefill kernel, so
// that both give the same bits: every operation is named (no contraction by the compiler), and a
// row's weights are summed by the tensor cores in the order in which its values are.
//
// A score is q . k in float32 from the tensor cores; weights are 2^((score - highest) * scale).
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/mma.cuh"

namespace sluice {

// Keys that are weighed against one highest score: four KV blocks.
inline constexpr uint32_t kKeyTile = 64;
inline constexpr uint32_t kTileBlocks = 4;

__device__ __forceinline__ float masked_score() {
  return __int_as_float(0xFF800000);
}

__device__ __forceinline__ float exp2_fast(float x) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(out) : "f"(x));
  return out;
}

// What sums under an old highest score are multiplied with under a new one.
__device__ __forceinline__ float rescale(float before, float now, float scale) {
  if (before == now) return 1.0f;
  return exp2_fast(__fmul_rn(__fsub_rn(before, now), scale));
}

// -highest * scale, which a row that has seen nothing must not make infinite.
__device__ __forceinline__ float negated(float highest, float scale) {
  return highest == masked_score() ? 0.0f : __fmul_rn(-highest, scale);
}

__device__ __forceinline__ uint32_t weights_of(float low, float high, float scale, float shift) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(exp2_fast(__fmaf_rn(low, scale, shift)),
                                                    exp2_fast(__fmaf_rn(high, scale, shift)));
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// The highest of a row's scores that lie in the four lanes of its quad.
__device__ __forceinline__ float quad_highest(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, 2));
}

// Sums of a row over a range of positions, unnormalised, under their highest score.
struct RowState {
  float highest = -__builtin_inff();
  float total = 0;
};

// How two neighbouring ranges become one: the sums of each are multiplied with its factor.
struct MergeFactors {
  float keep;
  float add;
};

__device__ __forceinline__ MergeFactors merge_state(RowState* state,
                                                    const RowState& next,
                                                    float scale) {
  const float highest = fmaxf(state->highest, next.highest);
  const MergeFactors factors = {rescale(state->highest, highest, scale),
                                rescale(next.highest, highest, scale)};
  state->highest = highest;
  state->total = __fmaf_rn(state->total, factors.keep, __fmul_rn(next.total, factors.add));
  return factors;
}

__device__ __forceinline__ float merge_sum(float sum, float next, const MergeFactors& factors) {
  return __fmaf_rn(sum, factors.keep, __fmul_rn(next, factors.add));
}

// Multiplies the two rows of an accumulator with a factor each.
__device__ __forceinline__ void scale_rows(float4& sum, float low, float high) {
  sum.x = __fmul_rn(sum.x, low);
  sum.y = __fmul_rn(sum.y, low);
  sum.z = __fmul_rn(sum.z, high);
  sum.w = __fmul_rn(sum.w, high);
}

// A fragment of ones: its product with the weights is their sum.
__device__ __forceinline__ FragmentB ones() {
  return {{0x3F803F80u, 0x3F803F80u}};
}

// Positions of a block past the sequence's end hold anything, also NaN: their values become 0.
// `left` is how many of the 16 positions count.
struct ValueMask {
  uint32_t low = 0xFFFFFFFFu;
  uint32_t high = 0xFFFFFFFFu;
};

__device__ __forceinline__ ValueMask value_mask(uint32_t left) {
  const uint32_t at = threadIdx.x % 4 * 2;
  const auto pair = [left](uint32_t position) {
    return (position < left ? 0xFFFFu : 0u) | (position + 1 < left ? 0xFFFF0000u : 0u);
  };
  return {pair(at), pair(at + 8)};
}

__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

}  // namespace sluice
