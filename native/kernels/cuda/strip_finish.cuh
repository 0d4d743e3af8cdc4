// What follows a strip's sums: the eight warps' in order, then the splits' in order, then scale,
// bias and the output's form. Everything here is in the fragment's shape: lane (g, t) holds rows
// 2t and 2t + 1 of a tile, outputs g and g + 8 of the strip.
#pragma once

#include <cuda_bf16.h>

#include "kernels/cuda/strip_format.cuh"

namespace sluice {

__device__ __forceinline__ float4 add4(float4 a, float4 b) {
  return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

__device__ __forceinline__ void store_output(const StripParameters& p,
                                             uint32_t row,
                                             uint32_t output,
                                             float value) {
  if (output >= p.outputs) return;
  if (p.bias != nullptr) value += __uint_as_float(uint32_t{p.bias[output]} << 16);
  const uint64_t at = uint64_t{row} * p.out_stride + output;
  if (p.output == LinearOutput::kF32) {
    static_cast<float*>(p.out)[at] = value;
  } else {
    static_cast<__nv_bfloat16*>(p.out)[at] = __float2bfloat16_rn(value);
  }
}

// Output g of a strip is a gate, output g + 8 its up.
__device__ __forceinline__ void store_gated(const StripParameters& p,
                                            uint32_t row,
                                            uint32_t output,
                                            float2 sums) {
  if (output + 8 >= p.outputs) return;
  if (p.bias != nullptr) {
    sums.x += __uint_as_float(uint32_t{p.bias[output]} << 16);
    sums.y += __uint_as_float(uint32_t{p.bias[output + 8]} << 16);
  }
  const float value = sums.x / (1.0f + __expf(-sums.x)) * sums.y;
  const uint32_t column = output / kStripRows * 8 + output % 8;
  static_cast<__nv_bfloat16*>(p.out)[uint64_t{row} * p.out_stride + column] =
      __float2bfloat16_rn(value);
}

// `rows` of the tile are left; sums are of outputs g (x, y) and g + 8 (z, w).
__device__ __forceinline__ void store_tile(const StripParameters& p,
                                           uint32_t strip,
                                           uint32_t first_row,
                                           float4 sums) {
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t output = strip * kStripRows + lane / 4;
  const uint32_t row = first_row + lane % 4 * 2;
  if (p.output_scales != nullptr) {
    const float low = output < p.outputs ? p.output_scales[output] : 0.0f;
    const float high = output + 8 < p.outputs ? p.output_scales[output + 8] : 0.0f;
    sums = make_float4(sums.x * low, sums.y * low, sums.z * high, sums.w * high);
  }
  if (p.output == LinearOutput::kSiluMul) {
    if (row < p.rows) store_gated(p, row, output, make_float2(sums.x, sums.z));
    if (row + 1 < p.rows) store_gated(p, row + 1, output, make_float2(sums.y, sums.w));
    return;
  }
  if (row < p.rows) {
    store_output(p, row, output, sums.x);
    store_output(p, row, output + 8, sums.z);
  }
  if (row + 1 < p.rows) {
    store_output(p, row + 1, output, sums.y);
    store_output(p, row + 1, output + 8, sums.w);
  }
}

// Counts one up; what the warp wrote before is seen by whoever counts after.
__device__ __forceinline__ uint32_t arrive(uint32_t* counter) {
  uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
               : "=r"(before)
               : "l"(counter)
               : "memory");
  return before;
}

// Whose sums a warp holds; `tiles` are all tiles of the launch.
struct SplitPlace {
  uint32_t strip;
  uint32_t split;
  uint32_t tile;
  uint32_t tiles;
};

// Leaves this split's sums for the block that comes last, or is that block: then true, with the
// sums over all splits.
__device__ __forceinline__ bool join_splits(const StripParameters& p,
                                            const SplitPlace& place,
                                            float4* sums) {
  const auto [strip, split, tile, tiles] = place;
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t splits = p.shape.splits;
  float4* mine = p.partials + (uint64_t{strip} * splits * tiles + tile) * 32 + lane;
  const uint64_t split_stride = uint64_t{tiles} * 32;
  __stcg(mine + split * split_stride, *sums);
  __syncwarp();
  uint32_t* arrivals = p.arrivals + strip * tiles + tile;
  uint32_t before = 0;
  if (lane == 0) before = arrive(arrivals);
  before = __shfl_sync(0xFFFFFFFFu, before, 0);
  if (before + 1 < splits) return false;
  __syncwarp();
  if (lane == 0) *arrivals = 0;
  float4 total = __ldcg(mine);
#pragma unroll 1
  for (uint32_t s = 1; s < splits; ++s) total = add4(total, __ldcg(mine + s * split_stride));
  *sums = total;
  return true;
}

// Whose sums come to an end: `item` counts those of the block.
struct StripEnd {
  uint32_t strip;
  uint32_t split;
  uint32_t warp;
  uint32_t part;
  uint32_t item;
};

template <int kTiles, int kParts>
struct StripFinish {
  static constexpr uint32_t kBufferVectors = kParts * kTiles * kStripWarps * 32;
  static constexpr uint32_t kTotalVectors = kParts * kTiles * 32;
  static constexpr uint32_t kSharedBytes = (2 * kBufferVectors + kTotalVectors) * 16;

  const StripParameters& p;
  float4* buffers;

  __device__ StripFinish(const StripParameters& parameters, uint8_t* shared)
      : p(parameters), buffers(reinterpret_cast<float4*>(shared)) {}

  // Called by the whole block. Two buffers in turn: whoever writes one has passed the barrier
  // behind which its last readers were. The warps that add take turns, so that none falls behind.
  __device__ void run(const float4 (&sums)[kTiles], const StripEnd& end) const {
    const uint32_t lane = threadIdx.x % 32;
    float4* buffer = buffers + end.item % 2 * kBufferVectors + end.part * kTiles * kStripWarps * 32;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) buffer[(n * kStripWarps + end.warp) * 32 + lane] = sums[n];
    __syncthreads();
    const uint32_t tile = (end.warp + end.item * kTiles) % kStripWarps;
    if (tile >= kTiles || end.strip >= p.shape.strips) return;
    const float4* read = buffer + tile * kStripWarps * 32 + lane;
    float4 total = read[0];
#pragma unroll
    for (uint32_t w = 1; w < kStripWarps; ++w) total = add4(total, read[w * 32]);
    if (p.in_sequence) {
      float4* kept = buffers + 2 * kBufferVectors + (end.part * kTiles + tile) * 32 + lane;
      if (end.split > 0) total = add4(*kept, total);
      *kept = total;
      if (end.split + 1 < p.shape.splits) return;
    } else if (p.shape.splits > 1) {
      if (!join_splits(p, {end.strip, end.split, tile, kTiles}, &total)) return;
    }
    store_tile(p, end.strip, tile * 8, total);
  }
};

}  // namespace sluice
