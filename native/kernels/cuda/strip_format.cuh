// The three weight formats as the strip kernels see them: what a warp reads for one chunk of 16
// outputs (a Stage), and how it becomes tensor core steps. Every lane copies into its own part of a
// slot in shared memory and reads only that, so a warp's stream needs no barrier. In each format,
// 16-byte accesses feed fragments without any shuffle, because a dot product does not care for the
// order of its inputs as long as both sides agree on it.
#pragma once

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/int4_layout.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/strip_shape.h"

namespace sluice {

struct StripParameters {
  const uint8_t* weights = nullptr;
  const uint8_t* group_scales = nullptr;  // int4
  const float* output_scales = nullptr;   // int8
  const uint16_t* bias = nullptr;
  const uint16_t* x = nullptr;
  void* out = nullptr;
  float4* partials = nullptr;    // of splits: [strips][splits][tiles][32 lanes]
  uint32_t* arrivals = nullptr;  // [strips][tiles], zero between runs
  uint32_t outputs = 0;
  uint32_t inputs = 0;
  uint32_t rows = 0;
  uint32_t x_stride = 0;
  uint32_t out_stride = 0;
  uint32_t shared_stride = 0;   // bytes between rows of x in shared memory
  uint32_t prefetch_bytes = 0;  // of each warp's share of the first strip
  LinearOutput output = LinearOutput::kBf16;
  StripShape shape;
};

// Where a warp's strip begins, for one lane.
struct StripBase {
  const uint8_t* low = nullptr;   // output g; int4: the lane's words
  const uint8_t* high = nullptr;  // output g + 8; int4: the lane's scales
};

// Activations of one tile of 8 rows in shared memory, for one lane.
using TileAddress = uint32_t;

struct LaneId {
  uint32_t lane;
  __device__ uint32_t g() const { return lane / 4; }
  __device__ uint32_t t() const { return lane % 4; }
};

// Row-major formats: outputs past the end read the last row, and their sums are dropped.
__device__ __forceinline__ StripBase row_base(const StripParameters& p,
                                              uint32_t strip,
                                              LaneId id,
                                              uint32_t row_bytes) {
  const uint32_t last = p.outputs - 1;
  const uint32_t low = min(strip * kStripRows + id.g(), last);
  const uint32_t high = min(strip * kStripRows + id.g() + 8, last);
  return {p.weights + uint64_t{low} * row_bytes + id.t() * 16,
          p.weights + uint64_t{high} * row_bytes + id.t() * 16};
}

// What to ask for ahead of the loads: of chunks [begin, end) of a strip, up to prefetch_bytes a
// warp.
struct PrefetchShare {
  uint32_t strip;
  uint32_t begin;
  uint32_t end;
  uint32_t warp;
};

// A warp's share of a strip is two of its rows.
__device__ __forceinline__ void prefetch_rows(const StripParameters& p,
                                              const PrefetchShare& share,
                                              uint32_t chunk_bytes,
                                              uint32_t row_bytes,
                                              uint32_t lane) {
  const uint32_t row = share.strip * kStripRows + share.warp * 2 + lane;
  const uint32_t begin = share.begin * chunk_bytes;
  const uint32_t end = min(share.end * chunk_bytes, row_bytes);
  if (lane >= 2 || row >= p.outputs || begin >= end) return;
  const uint32_t bytes = min(p.prefetch_bytes / 2, end - begin) & ~15u;
  if (bytes != 0) prefetch_l2(p.weights + uint64_t{row} * row_bytes + begin, bytes);
}

// Plain [outputs, inputs]. Lane (g, t) holds inputs 8t .. 8t + 7 of a chunk of 32: step j takes
// 8t + 4j + {0, 1} as its k 2t, 2t + 1 and 8t + 4j + {2, 3} as 2t + 8, 2t + 9.
struct Bf16Format {
  static constexpr uint32_t kChunk = 32;
  static constexpr uint32_t kSharedPad = 64;     // rows two apart meet in the same banks
  static constexpr uint32_t kStageBytes = 1024;  // of a warp
  static constexpr int kBlocks = 4;              // of an SM, for registers

  struct Stage {
    uint4 low;
    uint4 high;
  };

  static __device__ StripBase base(const StripParameters& p, uint32_t strip, LaneId id) {
    return row_base(p, strip, id, p.inputs * 2);
  }

  static __device__ void prefetch(const StripParameters& p,
                                  const PrefetchShare& share,
                                  uint32_t lane) {
    prefetch_rows(p, share, kChunk * 2, p.inputs * 2, lane);
  }

  static __device__ void copy(
      const StripParameters& p, const StripBase& base, uint32_t chunk, LaneId id, uint32_t slot) {
    const bool is_there = chunk * kChunk + id.t() * 8 < p.inputs;
    copy16_async(slot + id.lane * 16, base.low + chunk * (kChunk * 2), is_there);
    copy16_async(slot + 512 + id.lane * 16, base.high + chunk * (kChunk * 2), is_there);
  }

  static __device__ Stage read(uint32_t slot, LaneId id) {
    return {load_shared16(slot + id.lane * 16), load_shared16(slot + 512 + id.lane * 16)};
  }

  static __device__ TileAddress
  tile_address(uint32_t shared, uint32_t row_of_g, LaneId id, uint32_t stride, uint32_t) {
    return shared + row_of_g * stride + id.t() * 16;
  }

  template <int kTiles>
  static __device__ void consume(const Stage& stage,
                                 const TileAddress (&x)[kTiles],
                                 uint32_t local_chunk,
                                 float4 (&sums)[kTiles]) {
    const FragmentA first = {{stage.low.x, stage.high.x, stage.low.y, stage.high.y}};
    const FragmentA second = {{stage.low.z, stage.high.z, stage.low.w, stage.high.w}};
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      const uint4 v = load_shared16(x[n] + local_chunk * (kChunk * 2));
      mma_bf16(sums[n], first, {{v.x, v.y}});
      mma_bf16(sums[n], second, {{v.z, v.w}});
    }
  }
};

// [outputs, inputs] int8, the middle bytes of each four swapped. Lane (g, t) holds inputs
// 16t .. 16t + 15 of a chunk of 64; word j is step j. A byte becomes bf16 exactly: its low seven
// bits as 128 + n, less 128 or, with the sign bit, 256. The scale follows the whole sum.
struct Int8Format {
  static constexpr uint32_t kChunk = 64;
  static constexpr uint32_t kSharedPad = 16;
  static constexpr uint32_t kStageBytes = 1024;
  static constexpr int kBlocks = 4;

  struct Stage {
    uint4 low;
    uint4 high;
  };

  static __device__ StripBase base(const StripParameters& p, uint32_t strip, LaneId id) {
    return row_base(p, strip, id, p.inputs);
  }

  static __device__ void prefetch(const StripParameters& p,
                                  const PrefetchShare& share,
                                  uint32_t lane) {
    prefetch_rows(p, share, kChunk, p.inputs, lane);
  }

  static __device__ void copy(
      const StripParameters& p, const StripBase& base, uint32_t chunk, LaneId id, uint32_t slot) {
    const bool is_there = chunk * kChunk + id.t() * 16 < p.inputs;
    copy16_async(slot + id.lane * 16, base.low + chunk * kChunk, is_there);
    copy16_async(slot + 512 + id.lane * 16, base.high + chunk * kChunk, is_there);
  }

  static __device__ Stage read(uint32_t slot, LaneId id) {
    return {load_shared16(slot + id.lane * 16), load_shared16(slot + 512 + id.lane * 16)};
  }

  static __device__ TileAddress
  tile_address(uint32_t shared, uint32_t row_of_g, LaneId id, uint32_t stride, uint32_t) {
    return shared + row_of_g * stride + id.t() * 32;
  }

  static __device__ uint32_t widen(uint32_t bytes) {
    return subtract_bf16x2(and_or(bytes, 0x007F007F, 0x43004300),
                           and_or(bytes, 0x00800080, 0x43004300));
  }

  template <int kTiles>
  static __device__ void consume(const Stage& stage,
                                 const TileAddress (&x)[kTiles],
                                 uint32_t local_chunk,
                                 float4 (&sums)[kTiles]) {
    const uint32_t low[4] = {stage.low.x, stage.low.y, stage.low.z, stage.low.w};
    const uint32_t high[4] = {stage.high.x, stage.high.y, stage.high.z, stage.high.w};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      FragmentA a[2];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const uint32_t l = low[2 * half + j];
        const uint32_t h = high[2 * half + j];
        a[j] = {{widen(l), widen(h), widen(l >> 8), widen(h >> 8)}};
      }
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
        const uint4 v = load_shared16(x[n] + local_chunk * (kChunk * 2) + half * 16);
        mma_bf16(sums[n], a[0], {{v.x, v.y}});
        mma_bf16(sums[n], a[1], {{v.z, v.w}});
      }
    }
  }
};

// int4_layout.cuh. q - zero is an exact small integer in bf16; the sum of a group is scaled in
// float32, so nothing of a weight is ever rounded.
template <int kGroup>
struct Int4Format {
  static constexpr uint32_t kChunk = 128;
  static constexpr uint32_t kSharedPad = 16;
  static constexpr int kGroups = static_cast<int>(kChunk) / kGroup;
  static constexpr uint32_t kStageBytes = 1024 + 256 * kGroups;
  static constexpr int kBlocks = 3;
  static constexpr int kStepsOfGroup = kGroup / 16;

  struct Stage {
    uint4 words[2];
    uint2 scales[kGroups];
  };

  static __device__ uint32_t padded(const StripParameters& p) {
    return (p.inputs + kChunk - 1) / kChunk;
  }

  static __device__ StripBase base(const StripParameters& p, uint32_t strip, LaneId id) {
    const uint64_t chunks = uint64_t{strip} * padded(p);
    return {p.weights + chunks * 1024 + id.lane * 16,
            p.group_scales + chunks * (kGroups * 64) + id.g() * 8};
  }

  static __device__ void prefetch(const StripParameters& p,
                                  const PrefetchShare& share,
                                  uint32_t lane) {
    const uint32_t chunks = p.prefetch_bytes / 1024;  // of this warp
    const uint32_t begin = share.begin + share.warp * chunks;
    const uint32_t end = min(begin + chunks, share.end);
    if (lane != 0 || begin >= end || share.strip >= p.shape.strips) return;
    prefetch_l2(p.weights + (uint64_t{share.strip} * padded(p) + begin) * 1024,
                (end - begin) * 1024);
  }

  static __device__ void copy(
      const StripParameters&, const StripBase& base, uint32_t chunk, LaneId id, uint32_t slot) {
    copy16_async(slot + id.lane * 16, base.low + chunk * 1024, true);
    copy16_async(slot + 512 + id.lane * 16, base.low + chunk * 1024 + 512, true);
#pragma unroll
    for (int i = 0; i < kGroups; ++i) {
      copy8_async(slot + 1024 + i * 256 + id.lane * 8, base.high + (chunk * kGroups + i) * 64);
    }
  }

  static __device__ Stage read(uint32_t slot, LaneId id) {
    Stage stage;
    stage.words[0] = load_shared16(slot + id.lane * 16);
    stage.words[1] = load_shared16(slot + 512 + id.lane * 16);
#pragma unroll
    for (int i = 0; i < kGroups; ++i) {
      stage.scales[i] = load_shared8(slot + 1024 + i * 256 + id.lane * 8);
    }
    return stage;
  }

  // For ldmatrix: lane l names row l % 8 of the tile, 8 inputs from 8 (l / 8).
  static __device__ TileAddress
  tile_address(uint32_t shared, uint32_t, LaneId id, uint32_t stride, uint32_t row_of_lane) {
    return shared + row_of_lane * stride + id.lane / 8 * 16;
  }

  static __device__ FragmentA widen(uint32_t word, uint32_t zero_low, uint32_t zero_high) {
    FragmentA a;
    a.r[0] = subtract_bf16x2(and_or(word, 0x000F000F, 0x43004300), zero_low);
    a.r[1] = subtract_bf16x2(and_or(word >> 4, 0x000F000F, 0x43004300), zero_high);
    a.r[2] = subtract_bf16x2(and_or(word >> 8, 0x000F000F, 0x43004300), zero_low);
    a.r[3] = subtract_bf16x2(and_or(word >> 12, 0x000F000F, 0x43004300), zero_high);
    return a;
  }

  template <int kTiles>
  static __device__ void consume(const Stage& stage,
                                 const TileAddress (&x)[kTiles],
                                 uint32_t local_chunk,
                                 float4 (&sums)[kTiles]) {
    const uint32_t words[8] = {stage.words[0].x,
                               stage.words[0].y,
                               stage.words[0].z,
                               stage.words[0].w,
                               stage.words[1].x,
                               stage.words[1].y,
                               stage.words[1].z,
                               stage.words[1].w};
#pragma unroll
    for (int group = 0; group < kGroups; ++group) {
      const uint2 scale = stage.scales[group];
      const uint32_t zero_low = (scale.x & 15) * 0x10001 + 0x43004300;
      const uint32_t zero_high = (scale.y & 15) * 0x10001 + 0x43004300;
      float4 part[kTiles];
#pragma unroll
      for (int n = 0; n < kTiles; ++n) part[n] = make_float4(0, 0, 0, 0);
#pragma unroll
      for (int pair = 0; pair < kStepsOfGroup / 2; ++pair) {
        const int step = group * kStepsOfGroup + pair * 2;
        const FragmentA first = widen(words[step], zero_low, zero_high);
        const FragmentA second = widen(words[step + 1], zero_low, zero_high);
#pragma unroll
        for (int n = 0; n < kTiles; ++n) {
          const uint4 v = load_matrix4(x[n] + local_chunk * (kChunk * 2) + step * 32);
          mma_bf16(part[n], first, {{v.x, v.y}});
          mma_bf16(part[n], second, {{v.z, v.w}});
        }
      }
      const float low = __uint_as_float(scale.x & ~15u);
      const float high = __uint_as_float(scale.y & ~15u);
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
        sums[n].x = fmaf(low, part[n].x, sums[n].x);
        sums[n].y = fmaf(low, part[n].y, sums[n].y);
        sums[n].z = fmaf(high, part[n].z, sums[n].z);
        sums[n].w = fmaf(high, part[n].w, sums[n].w);
      }
    }
  }
};

}  // namespace sluice
