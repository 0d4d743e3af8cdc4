// The three weight formats as the wide kernel sees them: a unit is what one warp takes of 16
// outputs at a time. Its tensor core steps come in pairs: `widen` makes a pair's A fragments,
// `load_b` its B fragments of 8 rows of activations in shared memory, both steps' in one access.
// See strip_format.cuh for how inputs map to fragments.
#pragma once

#include "kernels/cuda/strip_format.cuh"

namespace sluice {

// Lane-private: a lane copies what it reads. Outputs past the end read the last row, and their sums
// are dropped.
struct RowUnit {
  static constexpr uint32_t kStageBytes = 1024;

  using Stage = RowPair;

  static __device__ StripBase row_base(const StripParameters& p,
                                       uint32_t strip,
                                       LaneId id,
                                       uint32_t row_bytes) {
    const uint32_t last = p.outputs - 1;
    const uint32_t low = min(strip * kStripRows + id.g(), last);
    const uint32_t high = min(strip * kStripRows + id.g() + 8, last);
    return {p.weights + uint64_t{low} * row_bytes + id.t() * 16,
            p.weights + uint64_t{high} * row_bytes + id.t() * 16,
            0};
  }

  static __device__ void copy_row(
      const StripBase& base, uint32_t byte, LaneId id, uint32_t row_bytes, uint32_t slot) {
    const bool is_there = byte + id.t() * 16 < row_bytes;
    copy16_async(slot + id.lane * 16, base.low + byte, is_there);
    copy16_async(slot + 512 + id.lane * 16, base.high + byte, is_there);
  }

  static __device__ Stage read(uint32_t slot, LaneId id) {
    return {load_shared16(slot + id.lane * 16), load_shared16(slot + 512 + id.lane * 16)};
  }
};

struct Bf16Unit : RowUnit {
  static constexpr uint32_t kInputs = 32;
  static constexpr int kPairs = 1;
  static constexpr int kGroups = 0;  // sums are never scaled on the way
  static constexpr uint32_t kSharedPad = 64;

  static __device__ StripBase base(const StripParameters& p, uint32_t strip, LaneId id) {
    return row_base(p, strip, id, p.inputs * 2);
  }

  static __device__ void copy(
      const StripParameters& p, const StripBase& base, uint32_t unit, LaneId id, uint32_t slot) {
    copy_row(base, unit * (kInputs * 2), id, p.inputs * 2, slot);
  }

  static __device__ void widen(const Stage& w, int, FragmentA (&a)[2]) {
    a[0] = {{w.low.x, w.high.x, w.low.y, w.high.y}};
    a[1] = {{w.low.z, w.high.z, w.low.w, w.high.w}};
  }

  static __device__ uint32_t lane_offset(uint32_t stride, LaneId id) {
    return id.g() * stride + id.t() * 16;
  }

  static __device__ uint4 load_b(uint32_t at, int) { return load_shared16(at); }
};

struct Int8Unit : RowUnit {
  static constexpr uint32_t kInputs = 64;
  static constexpr int kPairs = 2;
  static constexpr int kGroups = 0;
  static constexpr uint32_t kSharedPad = 16;

  static __device__ StripBase base(const StripParameters& p, uint32_t strip, LaneId id) {
    return row_base(p, strip, id, p.inputs);
  }

  static __device__ void copy(
      const StripParameters& p, const StripBase& base, uint32_t unit, LaneId id, uint32_t slot) {
    copy_row(base, unit * kInputs, id, p.inputs, slot);
  }

  static __device__ void widen(const Stage& w, int pair, FragmentA (&a)[2]) {
    a[0] = pair == 0 ? widen_int8(w.low.x, w.high.x) : widen_int8(w.low.z, w.high.z);
    a[1] = pair == 0 ? widen_int8(w.low.y, w.high.y) : widen_int8(w.low.w, w.high.w);
  }

  static __device__ uint32_t lane_offset(uint32_t stride, LaneId id) {
    return id.g() * stride + id.t() * 32;
  }

  static __device__ uint4 load_b(uint32_t at, int pair) { return load_shared16(at + pair * 16); }
};

// A unit of 64 inputs lies within one group, or holds two of 32.
template <uint32_t kGroup>
struct Int4Unit {
  static constexpr uint32_t kInputs = 64;
  static constexpr int kPairs = 2;
  static constexpr int kGroups = kGroup == 32 ? 2 : 1;
  static constexpr uint32_t kSharedPad = 16;
  static constexpr uint32_t kStageBytes = 512 + 256 * kGroups;

  struct Stage {
    uint4 words;
    uint2 scales[kGroups];
  };

  static __device__ StripBase base(const StripParameters& p, uint32_t strip, LaneId id) {
    const uint64_t pairs = uint64_t{strip} * int4_padded_inputs(p.inputs) / kInt4PadInputs;
    return {p.weights + pairs * 1024 + id.lane * 16,
            p.group_scales + pairs * (kInt4PadInputs / kGroup * 64) + id.g() * 8,
            0};
  }

  static __device__ void copy(
      const StripParameters&, const StripBase& base, uint32_t unit, LaneId id, uint32_t slot) {
    copy16_async(slot + id.lane * 16, base.low + unit * 512, true);
#pragma unroll
    for (uint32_t i = 0; i < kGroups; ++i) {
      copy8_async(slot + 512 + i * 256 + id.lane * 8,
                  base.high + (unit * kInputs / kGroup + i) * 64);
    }
  }

  static __device__ Stage read(uint32_t slot, LaneId id) {
    Stage stage;
    stage.words = load_shared16(slot + id.lane * 16);
#pragma unroll
    for (uint32_t i = 0; i < kGroups; ++i) {
      stage.scales[i] = load_shared8(slot + 512 + i * 256 + id.lane * 8);
    }
    return stage;
  }

  static __device__ void widen(const Stage& stage, int pair, FragmentA (&a)[2]) {
    const uint2 scale = stage.scales[pair * kGroups / kPairs];
    const uint32_t zero_low = (scale.x & 15) * 0x10001 + 0x43004300;
    const uint32_t zero_high = (scale.y & 15) * 0x10001 + 0x43004300;
    const uint32_t first = pair == 0 ? stage.words.x : stage.words.z;
    const uint32_t second = pair == 0 ? stage.words.y : stage.words.w;
    a[0] = Int4Format<kGroup>::widen(first, zero_low, zero_high);
    a[1] = Int4Format<kGroup>::widen(second, zero_low, zero_high);
  }

  static __device__ uint32_t lane_offset(uint32_t stride, LaneId id) {
    return id.lane % 8 * stride + id.lane / 8 * 16;
  }

  static __device__ uint4 load_b(uint32_t at, int pair) {
    return load_matrix4(at + pair * 64);
  }
};

// sums += scale * part, for outputs g (x, y) and g + 8 (z, w).
__device__ __forceinline__ void add_scaled(float4& sums, uint2 scale, float4 part) {
  const float low = __uint_as_float(scale.x & ~15u);
  const float high = __uint_as_float(scale.y & ~15u);
  sums.x = fmaf(low, part.x, sums.x);
  sums.y = fmaf(low, part.y, sums.y);
  sums.z = fmaf(high, part.z, sums.z);
  sums.w = fmaf(high, part.w, sums.w);
}

// Both steps of a pair for all tiles and strips: many tensor core steps stand between two that add
// to the same sums.
template <int kStrips, int kTiles>
__device__ __forceinline__ void multiply_pair(const FragmentA (&a)[kStrips][2],
                                              const uint4 (&b)[kTiles],
                                              float4 (&sums)[kStrips][kTiles]) {
#pragma unroll
  for (int step = 0; step < 2; ++step) {
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      const FragmentB of_step =
          step == 0 ? FragmentB{{b[n].x, b[n].y}} : FragmentB{{b[n].z, b[n].w}};
#pragma unroll
      for (int s = 0; s < kStrips; ++s) mma_bf16(sums[s][n], a[s][step], of_step);
    }
  }
}

// A unit of each of kStrips strips times kTiles tiles of 8 rows, which lie tile_bytes apart.
template <typename Unit, int kStrips, int kTiles>
__device__ __forceinline__ void multiply_unit(const typename Unit::Stage (&stages)[kStrips],
                                              uint32_t rows,
                                              uint32_t tile_bytes,
                                              float4 (&sums)[kStrips][kTiles]) {
  constexpr bool kIsScaled = Unit::kGroups != 0;
  float4 parts[kStrips][kTiles];
#pragma unroll
  for (int pair = 0; pair < Unit::kPairs; ++pair) {
    FragmentA a[kStrips][2];
    uint4 b[kTiles];
#pragma unroll
    for (int n = 0; n < kTiles; ++n) b[n] = Unit::load_b(rows + n * tile_bytes, pair);
#pragma unroll
    for (int s = 0; s < kStrips; ++s) Unit::widen(stages[s], pair, a[s]);
    if constexpr (kIsScaled) {
      constexpr int kPairsOfGroup = Unit::kPairs / Unit::kGroups;
      if (pair % kPairsOfGroup == 0) {
#pragma unroll
        for (int i = 0; i < kStrips * kTiles; ++i) {
          parts[i / kTiles][i % kTiles] = make_float4(0, 0, 0, 0);
        }
      }
      multiply_pair<kStrips, kTiles>(a, b, parts);
      if ((pair + 1) % kPairsOfGroup == 0) {
#pragma unroll
        for (int i = 0; i < kStrips * kTiles; ++i) {
          const uint2 scale = stages[i / kTiles].scales[pair / kPairsOfGroup];
          add_scaled(sums[i / kTiles][i % kTiles], scale, parts[i / kTiles][i % kTiles]);
        }
      }
    } else {
      multiply_pair<kStrips, kTiles>(a, b, sums);
    }
  }
}

}  // namespace sluice
