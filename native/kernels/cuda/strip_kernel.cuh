// y = x Wᵀ for few rows: every block keeps its rows' activations in shared memory and streams
// strips of weights through registers, several loads ahead, also from one strip to the next.
// Weights are asked for before the wait for the kernel that makes the activations.
#pragma once

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/strip_finish.cuh"
#include "kernels/cuda/strip_format.cuh"

namespace sluice {

// Walks a warp's chunks in the order of its sums: step after step, strip after strip.
template <typename Format, int kParts>
struct StripCursor {
  uint32_t group;  // of kParts strips
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

// kParts strips side by side in a block of 8 kParts warps, kTiles tiles of 8 rows, kDepth chunks
// in flight a warp.
template <typename Format, int kTiles, int kParts, int kDepth, int kBlocks>
__global__ __launch_bounds__(kStripWarps * 32 * kParts,
                             kBlocks) void strip_kernel(const __grid_constant__ StripParameters p) {
  extern __shared__ __align__(128) uint8_t shared_bytes[];
  const LaneId id{threadIdx.x % 32};
  const uint32_t warp = threadIdx.x / 32 % kStripWarps;
  const uint32_t part = threadIdx.x / 32 / kStripWarps;
  const uint32_t splits = p.shape.splits;
  const uint32_t split = blockIdx.x % splits;
  const uint32_t stride = gridDim.x / splits;
  const uint32_t groups = (p.shape.strips + kParts - 1) / kParts;
  const uint32_t first_chunk = split * p.shape.split_chunks;
  const uint32_t end_chunk = min(first_chunk + p.shape.split_chunks, p.shape.chunks);

  pdl_launch_dependents();
  StripCursor<Format, kParts> ahead{blockIdx.x / splits, 0, {}};
  ahead.enter(p, part, id);
  typename Format::Stage stages[kDepth];
  const auto load_next = [&](typename Format::Stage* stage) {
    if (ahead.group >= groups) return;
    const uint32_t chunk = first_chunk + ahead.step * kStripWarps + warp;
    if (chunk < end_chunk) Format::load(p, ahead.base, chunk, id, stage);
    if (++ahead.step == p.shape.steps) {
      ahead.step = 0;
      ahead.group += stride;
      ahead.enter(p, part, id);
    }
  };
#pragma unroll
  for (int d = 0; d < kDepth; ++d) load_next(&stages[d]);
  const uint32_t ahead_strip = ahead.group * kParts + part;
  const uint32_t ahead_chunk = first_chunk + ahead.step * kStripWarps;
  Format::prefetch(p, {ahead_strip, ahead_chunk, end_chunk, warp}, id.lane);

  pdl_wait();
  const StripFinish<kTiles, kParts> finish(p, shared_bytes, split);
  const uint32_t shared_x = shared_address(shared_bytes) + finish.kSharedBytes;
  fill_rows(p, shared_x, first_chunk * Format::kChunk, p.shape.split_inputs() / 8);
  __syncthreads();

  TileAddress x[kTiles];
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
    const uint32_t of_g = min(n * 8 + id.g(), p.rows - 1);
    const uint32_t of_lane = min(n * 8 + id.lane % 8, p.rows - 1);
    x[n] = Format::tile_address(shared_x, of_g, id, p.shared_stride, of_lane);
  }
  float4 sums[kTiles];
#pragma unroll
  for (int n = 0; n < kTiles; ++n) sums[n] = make_float4(0, 0, 0, 0);
  uint32_t group = blockIdx.x / splits;
  uint32_t step = 0;
  uint32_t parity = 0;
  while (group < groups) {
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      if (group < groups) {
        const uint32_t local = step * kStripWarps + warp;
        if (first_chunk + local < end_chunk) Format::consume(stages[d], x, local, sums);
        load_next(&stages[d]);
        if (++step == p.shape.steps) {
          finish.run(sums, group * kParts + part, warp, part, parity);
#pragma unroll
          for (int n = 0; n < kTiles; ++n) sums[n] = make_float4(0, 0, 0, 0);
          step = 0;
          group += stride;
          parity ^= 1;
        }
      }
    }
  }
}

}  // namespace sluice
