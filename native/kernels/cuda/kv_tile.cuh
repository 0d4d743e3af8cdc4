// A tile of 64 keys or values in shared memory, four KV blocks as they lie in the pool, and the
// fragments that the tensor cores take from it.
#pragma once

#include <cstdint>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/copy_ring.cuh"
#include "kernels/cuda/kv_layout.cuh"
#include "kernels/cuda/softmax.cuh"

namespace sluice {

inline constexpr uint32_t kPieceBlocks = kKvPieceTokens / kBlockTokens;

template <uint32_t kDim>
inline constexpr uint32_t kPartBytes = kBlockTokens * kDim * 2;

template <uint32_t kDim>
inline constexpr uint32_t kTileBytes = kTileBlocks * kPartBytes<kDim>;

// The address of chunk `chunk` of token `token` of the tile's block `block`.
template <uint32_t kDim>
__device__ __forceinline__ uint32_t
tile_address(uint32_t tile, uint32_t block, uint32_t token, uint32_t chunk) {
  return tile + block * kPartBytes<kDim> + token * (kDim * 2) +
         kv_stored_chunk(token, chunk, kDim) * 16;
}

// Of 16 keys, elements 16 step .. 16 step + 15: x, y belong to keys 0-7, z, w to keys 8-15.
template <uint32_t kDim>
__device__ __forceinline__ uint4 load_keys(uint32_t tile, uint32_t block, uint32_t step) {
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t token = lane / 16 * 8 + lane % 8;
  return load_matrix4(tile_address<kDim>(tile, block, token, step * 2 + lane / 8 % 2));
}

// Of 16 positions, columns 16 pair .. 16 pair + 15: x, y are columns 0-7, z, w columns 8-15.
template <uint32_t kDim>
__device__ __forceinline__ uint4 load_values(uint32_t tile, uint32_t block, uint32_t pair) {
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t token = lane / 8 % 2 * 8 + lane % 8;
  const uint32_t address = tile_address<kDim>(tile, block, token, pair * 2 + lane / 16);
  uint4 v;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address)
               : "memory");
  return v;
}

// Adds weights * values of 16 positions to 16 columns.
template <uint32_t kDim, bool kMasked>
__device__ __forceinline__ void weigh_values(float4 (&sums)[2],
                                             const FragmentA& weights,
                                             uint4 v,
                                             const ValueMask& mask) {
  if (kMasked) {
    v.x &= mask.low;
    v.y &= mask.high;
    v.z &= mask.low;
    v.w &= mask.high;
  }
  mma_bf16(sums[0], weights, {{v.x, v.y}});
  mma_bf16(sums[1], weights, {{v.z, v.w}});
}

// Scores of 16 rows against the tile's keys: scores[i] belongs to keys 8i .. 8i + 7. kUnroll steps
// at once: more are faster, and keep more addresses in registers.
template <uint32_t kDim, int kUnroll, typename Query>
__device__ __forceinline__ void score_tile(float4 (&scores)[8], uint32_t tile, Query query) {
#pragma unroll
  for (int i = 0; i < 8; ++i) scores[i] = make_float4(0, 0, 0, 0);
#pragma unroll kUnroll
  for (uint32_t step = 0; step < kDim / 16; ++step) {
    const FragmentA q = query(step);
#pragma unroll
    for (uint32_t block = 0; block < kTileBlocks; ++block) {
      const uint4 k = load_keys<kDim>(tile, block, step);
      mma_bf16(scores[2 * block], q, {{k.x, k.y}});
      mma_bf16(scores[2 * block + 1], q, {{k.z, k.w}});
    }
  }
}

// A row sees the tile's first `low` (rows 0-7) or `high` (rows 8-15) keys.
__device__ __forceinline__ void mask_scores(float4 (&scores)[8], int32_t low, int32_t high) {
  const int32_t at = static_cast<int32_t>(threadIdx.x % 4 * 2);
#pragma unroll
  for (int32_t i = 0; i < 8; ++i) {
    const int32_t key = i * 8 + at;
    if (key >= low) scores[i].x = masked_score();
    if (key + 1 >= low) scores[i].y = masked_score();
    if (key >= high) scores[i].z = masked_score();
    if (key + 1 >= high) scores[i].w = masked_score();
  }
}

__device__ __forceinline__ float2 highest_scores(const float4 (&scores)[8]) {
  float low = masked_score();
  float high = masked_score();
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    low = fmaxf(low, fmaxf(scores[i].x, scores[i].y));
    high = fmaxf(high, fmaxf(scores[i].z, scores[i].w));
  }
  return {quad_highest(low), quad_highest(high)};
}

// One sequence's and KV head's cache, as the copying warp walks it: a piece's block ids stand in
// the warp's lanes, one each.
template <uint32_t kDim>
struct KvSource {
  const uint16_t* keys;
  const uint16_t* values;
  const int32_t* block_table;
  uint32_t kv_head;
  uint32_t kv_heads;

  __device__ __forceinline__ int32_t piece_blocks(uint32_t piece, uint32_t end) const {
    const uint32_t at = piece * kPieceBlocks + threadIdx.x % kPieceBlocks;
    return at * kBlockTokens < end ? block_table[at] : 0;
  }

  // Copies the blocks of the piece's tile `tile` that lie before `end`; the tile begins before it.
  __device__ __forceinline__ void copy_tile(const CopyRing& ring,
                                            const RingPlace& place,
                                            const uint16_t* pool,
                                            int32_t ids,
                                            uint32_t begin,
                                            uint32_t end) const {
    const uint32_t blocks = min((end - begin + kBlockTokens - 1) / kBlockTokens, kTileBlocks);
    const uint32_t first = begin / kBlockTokens % kPieceBlocks;
    const Runs runs = {blocks, kPartBytes<kDim>, kPartBytes<kDim>};
    copy_runs(ring, place, runs, [&](uint32_t run) {
      const int32_t id = __shfl_sync(0xFFFFFFFFu, ids, static_cast<int>(first + run));
      const auto block = static_cast<uint64_t>(static_cast<uint32_t>(id));
      return pool + kv_part_begin(block, kv_head, kv_heads, kDim);
    });
  }
};

}  // namespace sluice
