// y = x Wᵀ for few rows: every block keeps its rows' activations in shared memory and streams
// strips of weights through a ring of asynchronous copies in each warp, several ahead, also from
// one strip to the next. (Loads to registers did not overlap: the compiler waits for all of them
// where it needs one.) Weights are asked for before the wait for the kernel that makes the
// activations.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/strip_finish.cuh"
#include "kernels/cuda/strip_format.cuh"

namespace sluice {

// Walks a warp's chunks in the order of its sums: step after step, split after split, strip after
// strip.
template <typename Format, int kParts>
struct StripCursor {
  uint32_t group;  // of kParts strips
  uint32_t split;
  uint32_t step = 0;
  StripBase base;

  __device__ void enter(const StripParameters& p, uint32_t part, LaneId id) {
    const uint32_t strip = group * kParts + part;
    base = Format::base(p, min(strip, p.shape.strips - 1), id);
  }
};

__device__ __forceinline__ void fill_rows(const StripParameters& p,
                                          uint32_t shared,
                                          uint32_t first_input,
                                          uint32_t vectors) {
  for (uint32_t row = 0; row < p.rows; ++row) {
    const uint16_t* from = p.x + uint64_t{row} * p.x_stride + first_input;
    const uint32_t to = shared + row * p.shared_stride;
    for (uint32_t v = threadIdx.x; v < vectors; v += blockDim.x) {
      const bool is_there = first_input + v * 8 < p.inputs;
      copy16_async(to + v * 16, is_there ? from + v * 8 : p.x, is_there);
    }
  }
  copies_commit();
  copies_wait<0>();
}

__device__ __forceinline__ uint32_t chunk_of(const StripParameters& p,
                                             uint32_t split,
                                             uint32_t step,
                                             uint32_t warp) {
  return split * p.shape.split_chunks + step * kStripWarps + warp;
}

__device__ __forceinline__ uint32_t end_of(const StripParameters& p, uint32_t split) {
  return min((split + 1) * p.shape.split_chunks, p.shape.chunks);
}

// Rows past the last read the last again; their sums are dropped.
template <typename Format, int kTiles>
__device__ __forceinline__ void address_tiles(const StripParameters& p,
                                              uint32_t shared_x,
                                              LaneId id,
                                              TileAddress (&x)[kTiles]) {
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
    const uint32_t of_g = min(n * 8 + id.g(), p.rows - 1);
    const uint32_t of_lane = min(n * 8 + id.lane % 8, p.rows - 1);
    x[n] = Format::tile_address(shared_x, of_g, id, p.shared_stride, of_lane);
  }
}

// kParts strips side by side in a block of 8 kParts warps, kTiles tiles of 8 rows, kDepth chunks
// under way in each warp.
template <typename Format, int kTiles, int kParts, int kDepth, int kBlocks>
__global__ __launch_bounds__(kStripWarps * 32 * kParts,
                             kBlocks) void strip_kernel(const __grid_constant__ StripParameters p) {
  extern __shared__ __align__(128) uint8_t shared_bytes[];
  const LaneId id{threadIdx.x % 32};
  const uint32_t warp = threadIdx.x / 32 % kStripWarps;
  const uint32_t part = threadIdx.x / 32 / kStripWarps;
  const uint32_t ways = p.in_sequence ? 1 : p.shape.splits;  // blocks that share a strip
  const uint32_t first_split = p.in_sequence ? 0 : blockIdx.x % ways;
  const uint32_t end_split = p.in_sequence ? p.shape.splits : first_split + 1;
  const uint32_t first_chunk = first_split * p.shape.split_chunks;
  const uint32_t stride = gridDim.x / ways;
  const uint32_t groups = (p.shape.strips + kParts - 1) / kParts;
  const StripFinish<kTiles, kParts> finish(p, shared_bytes);
  constexpr uint32_t kRingBytes = kDepth * Format::kStageBytes;
  const uint32_t rings = shared_address(shared_bytes) + finish.kSharedBytes;
  const uint32_t ring = rings + threadIdx.x / 32 * kRingBytes;

  pdl_launch_dependents();
  StripCursor<Format, kParts> ahead{blockIdx.x / ways, first_split, 0, {}};
  ahead.enter(p, part, id);
  const auto copy_next = [&](uint32_t slot) {
    if (ahead.group < groups) {
      const uint32_t chunk = chunk_of(p, ahead.split, ahead.step, warp);
      if (chunk < end_of(p, ahead.split)) Format::copy(p, ahead.base, chunk, id, slot);
      if (++ahead.step == p.shape.steps) {
        ahead.step = 0;
        if (++ahead.split == end_split) {
          ahead.split = first_split;
          ahead.group += stride;
          ahead.enter(p, part, id);
        }
      }
    }
    copies_commit();
  };
  for (int d = 0; d < kDepth; ++d) copy_next(ring + d * Format::kStageBytes);

  pdl_wait();
  const uint32_t shared_x = rings + kParts * kStripWarps * kRingBytes;
  fill_rows(p, shared_x, first_chunk * Format::kChunk, (p.shared_stride - Format::kSharedPad) / 16);
  __syncthreads();

  TileAddress x[kTiles];
  address_tiles<Format, kTiles>(p, shared_x, id, x);
  uint32_t slot = ring;
  uint32_t item = 0;
  for (uint32_t group = blockIdx.x / ways; group < groups; group += stride) {
    for (uint32_t split = first_split; split < end_split; ++split) {
      float4 sums[kTiles];
#pragma unroll
      for (int n = 0; n < kTiles; ++n) sums[n] = make_float4(0, 0, 0, 0);
#pragma unroll 2
      for (uint32_t step = 0; step < p.shape.steps; ++step) {
        copies_wait<kDepth - 1>();
        __syncwarp();
        const uint32_t chunk = chunk_of(p, split, step, warp);
        if (chunk < end_of(p, split)) {
          Format::consume(Format::read(slot, id), x, chunk - first_chunk, sums);
        }
        __syncwarp();
        copy_next(slot);
        slot = slot + Format::kStageBytes == ring + kRingBytes ? ring : slot + Format::kStageBytes;
      }
      finish.run(sums, {group * kParts + part, split, warp, part, item++});
    }
  }
}

}  // namespace sluice
