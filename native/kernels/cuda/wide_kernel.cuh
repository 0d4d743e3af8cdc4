// y = x Wᵀ for 1 to many rows: a block takes 128 outputs and kTiles tiles of 8 rows. Activations
// and weights pass through rings of asynchronous copies; eight warps are four groups of 32 outputs
// times two halves of each chunk of inputs.
//
// The order of an output's sum follows from the matrix alone: a half's units in order, then the two
// halves, then the splits in order, whether other blocks or this one computed them. So the bits of
// a row are the same in any number of rows: this is deterministic mode's kernel.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/strip_finish.cuh"
#include "kernels/cuda/wide_format.cuh"

namespace sluice {

inline constexpr uint32_t kWideOutputs = 128;
inline constexpr uint32_t kWideThreads = 256;
inline constexpr int kWideRing = 4;    // chunks under way
inline constexpr int kWideStrips = 2;  // of a warp

// Bytes from row to row in the ring.
template <typename Unit>
inline constexpr uint32_t kWideStride = Unit::kInputs * 2 * 2 + Unit::kSharedPad;

template <typename Unit, int kTiles>
inline constexpr uint32_t kWideRowBytes = kTiles * 8 * kWideStride<Unit>;

// One place of the ring: rows, then each warp's weights.
template <typename Unit, int kTiles>
inline constexpr uint32_t kWideSlotBytes =
    kWideRowBytes<Unit, kTiles> + kWideThreads / 32 * kWideStrips * Unit::kStageBytes;

template <typename Unit, int kTiles>
inline constexpr uint32_t kWideRingBytes = kWideRing * kWideSlotBytes<Unit, kTiles>;

template <int kTiles>
inline constexpr uint32_t kWideExchangeBytes = 4 * kWideStrips * kTiles * 32 * sizeof(float4);

template <typename Unit, int kTiles>
struct WideBlock {
  static constexpr uint32_t kChunk = Unit::kInputs * 2;
  static constexpr uint32_t kStride = kWideStride<Unit>;

  const StripParameters& p;
  uint8_t* shared;
  bool in_sequence;
  LaneId id;
  uint32_t half;
  uint32_t first_strip;
  uint32_t first_row;
  StripBase bases[kWideStrips];

  __device__ uint32_t slot(uint32_t index) const {
    return shared_address(shared) + index * kWideSlotBytes<Unit, kTiles>;
  }

  // Where this warp's weights of a strip lie in a slot.
  __device__ uint32_t weights(uint32_t slot, int strip) const {
    return slot + kWideRowBytes<Unit, kTiles> +
           (threadIdx.x / 32 * kWideStrips + strip) * Unit::kStageBytes;
  }

  __device__ void copy_weights(uint32_t chunk, uint32_t slot) const {
#pragma unroll
    for (int s = 0; s < kWideStrips; ++s) {
      Unit::copy(p, bases[s], chunk * 2 + half, id, weights(slot, s));
    }
  }

  __device__ void copy_rows(uint32_t chunk, uint32_t slot) const {
    constexpr uint32_t kVectors = kChunk / 8;
#pragma unroll
    for (uint32_t i = threadIdx.x; i < kTiles * 8 * kVectors; i += kWideThreads) {
      const uint32_t row = first_row + i / kVectors;
      const uint32_t input = chunk * kChunk + i % kVectors * 8;
      const bool is_there = row < p.rows && input < p.inputs;
      const uint16_t* from = is_there ? p.x + uint64_t{row} * p.x_stride + input : p.x;
      copy16_async(slot + i / kVectors * kStride + i % kVectors * 16, from, is_there);
    }
  }

  __device__ void multiply(uint32_t slot, float4 (&sums)[kWideStrips][kTiles]) const {
    typename Unit::Stage stages[kWideStrips];
#pragma unroll
    for (int s = 0; s < kWideStrips; ++s) stages[s] = Unit::read(weights(slot, s), id);
    const uint32_t from = slot + Unit::lane_offset(kStride, id) + half * (Unit::kInputs * 2);
    multiply_unit<Unit, kWideStrips, kTiles>(stages, from, 8 * kStride, sums);
  }

  // Adds the halves of a split; they stay in shared memory. Called by the whole block, as settle()
  // after it; between two calls stands at least one of the ring's barriers.
  __device__ void finish(const float4 (&sums)[kWideStrips][kTiles]) const {
    float4* mine = exchange();
    if (half == 1) {
#pragma unroll
      for (int i = 0; i < kWideStrips * kTiles; ++i) mine[i * 32] = sums[i / kTiles][i % kTiles];
    }
    __syncthreads();
    if (half == 1) return;
#pragma unroll
    for (int i = 0; i < kWideStrips * kTiles; ++i) {
      mine[i * 32] = add4(sums[i / kTiles][i % kTiles], mine[i * 32]);
    }
  }

  // Adds the splits and stores.
  __device__ void settle(uint32_t split) const {
    if (half == 1) return;
    const uint32_t splits = p.shape.splits;
    float4* mine = exchange();
    float4* totals = mine + kWideExchangeBytes<kTiles> / sizeof(float4);
#pragma unroll 1
    for (int i = 0; i < kWideStrips * kTiles; ++i) {
      const uint32_t strip = first_strip + i / kTiles;
      const uint32_t tile = first_row / 8 + i % kTiles;
      if (strip >= p.shape.strips || tile * 8 >= p.rows) continue;
      float4 total = mine[i * 32];
      if (splits > 1 && in_sequence) {
        if (split > 0) total = add4(totals[i * 32], total);
        totals[i * 32] = total;
        if (split + 1 < splits) continue;
      } else if (splits > 1) {
        const uint32_t tiles = (p.rows + 7) / 8;
        if (!join_splits(p, {strip, split, tile, tiles}, &total)) continue;
      }
      store_tile(p, strip, tile * 8, total);
    }
  }

  // This lane's place in its group's part.
  __device__ float4* exchange() const {
    auto* all = reinterpret_cast<float4*>(shared + kWideRingBytes<Unit, kTiles>);
    return all + threadIdx.x / 32 % 4 * (kWideStrips * kTiles * 32) + id.lane;
  }
};

template <typename Unit, int kTiles, int kBlocks>
__global__ __launch_bounds__(kWideThreads,
                             kBlocks) void wide_kernel(const __grid_constant__ StripParameters p,
                                                       const bool in_sequence) {
  extern __shared__ __align__(128) uint8_t shared_bytes[];
  const uint32_t warp = threadIdx.x / 32;
  const uint32_t first_strip = blockIdx.y * (kWideOutputs / kStripRows) + warp % 4 * kWideStrips;
  WideBlock<Unit, kTiles> block{p,
                                shared_bytes,
                                in_sequence,
                                LaneId{threadIdx.x % 32},
                                warp / 4,
                                first_strip,
                                blockIdx.x * kTiles * 8,
                                {}};
#pragma unroll
  for (int s = 0; s < kWideStrips; ++s) {
    block.bases[s] = Unit::base(p, min(first_strip + s, p.shape.strips - 1), block.id);
  }
  const uint32_t split_chunks = p.shape.split_chunks;
  const uint32_t first = blockIdx.z * split_chunks;
  const uint32_t end = in_sequence ? p.shape.chunks : min(first + split_chunks, p.shape.chunks);

  pdl_launch_dependents();
#pragma unroll
  for (int d = 0; d < kWideRing - 1; ++d) {
    if (first + d < end) block.copy_weights(first + d, block.slot(d));
  }
  pdl_wait();
#pragma unroll
  for (int d = 0; d < kWideRing - 1; ++d) {
    if (first + d < end) block.copy_rows(first + d, block.slot(d));
    copies_commit();
  }

  float4 sums[kWideStrips][kTiles];
  const auto clear = [&] {
#pragma unroll
    for (int i = 0; i < kWideStrips * kTiles; ++i) {
      sums[i / kTiles][i % kTiles] = make_float4(0, 0, 0, 0);
    }
  };
  clear();
  uint32_t split = blockIdx.z;
  uint32_t left = split_chunks;
  uint32_t index = 0;
  for (uint32_t chunk = first; chunk < end; ++chunk) {
    copies_wait<kWideRing - 2>();
    __syncthreads();
    const uint32_t next = chunk + kWideRing - 1;
    if (next < end) {
      const uint32_t slot = block.slot((index + kWideRing - 1) % kWideRing);
      block.copy_weights(next, slot);
      block.copy_rows(next, slot);
    }
    copies_commit();
    block.multiply(block.slot(index), sums);
    index = (index + 1) % kWideRing;
    if (--left == 0 || chunk + 1 == end) {
      block.finish(sums);
      block.settle(split++);
      clear();
      left = split_chunks;
    }
  }
}

}  // namespace sluice
