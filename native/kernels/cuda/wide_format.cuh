// The three weight formats as the wide kernel sees them: a unit is what one warp takes of 16
// outputs at a time, in registers; `widen` makes its A fragments, `load_b` the matching B fragments
// of 8 rows of activations in shared memory. See strip_format.cuh for how inputs map to fragments.
#pragma once

#include "kernels/cuda/strip_format.cuh"

namespace sluice {

struct Bf16Unit {
  static constexpr uint32_t kInputs = 32;
  static constexpr int kSteps = 2;
  static constexpr int kGroups = 0;  // sums are never scaled on the way
  static constexpr uint32_t kSharedPad = 64;
  static constexpr uint32_t kStageBytes = 1024;

  using Stage = Bf16Format::Stage;

  static __device__ StripBase base(const StripParameters& p, uint32_t strip, LaneId id) {
    return row_base(p, strip, id, p.inputs * 2);
  }

  static __device__ void copy(
      const StripParameters& p, const StripBase& base, uint32_t unit, LaneId id, uint32_t slot) {
    Bf16Format::copy(p, base, unit, id, slot);
  }

  static __device__ Stage read(uint32_t slot, LaneId id) { return Bf16Format::read(slot, id); }

  static __device__ void widen(const Stage& stage, FragmentA (&a)[kSteps]) {
    a[0] = {{stage.low.x, stage.high.x, stage.low.y, stage.high.y}};
    a[1] = {{stage.low.z, stage.high.z, stage.low.w, stage.high.w}};
  }

  static __device__ uint32_t lane_offset(uint32_t stride, LaneId id) {
    return id.g() * stride + id.t() * 16;
  }

  static __device__ void load_b(uint32_t at, FragmentB (&b)[kSteps]) {
    const uint4 v = load_shared16(at);
    b[0] = {{v.x, v.y}};
    b[1] = {{v.z, v.w}};
  }
};

struct Int8Unit {
  static constexpr uint32_t kInputs = 64;
  static constexpr int kSteps = 4;
  static constexpr int kGroups = 0;
  static constexpr uint32_t kSharedPad = 16;
  static constexpr uint32_t kStageBytes = 1024;

  using Stage = Int8Format::Stage;

  static __device__ StripBase base(const StripParameters& p, uint32_t strip, LaneId id) {
    return row_base(p, strip, id, p.inputs);
  }

  static __device__ void copy(
      const StripParameters& p, const StripBase& base, uint32_t unit, LaneId id, uint32_t slot) {
    Int8Format::copy(p, base, unit, id, slot);
  }

  static __device__ Stage read(uint32_t slot, LaneId id) { return Int8Format::read(slot, id); }

  static __device__ void widen(const Stage& stage, FragmentA (&a)[kSteps]) {
    const uint32_t low[kSteps] = {stage.low.x, stage.low.y, stage.low.z, stage.low.w};
    const uint32_t high[kSteps] = {stage.high.x, stage.high.y, stage.high.z, stage.high.w};
#pragma unroll
    for (int j = 0; j < kSteps; ++j) {
      a[j] = {{Int8Format::widen(low[j]),
               Int8Format::widen(high[j]),
               Int8Format::widen(low[j] >> 8),
               Int8Format::widen(high[j] >> 8)}};
    }
  }

  static __device__ uint32_t lane_offset(uint32_t stride, LaneId id) {
    return id.g() * stride + id.t() * 32;
  }

  static __device__ void load_b(uint32_t at, FragmentB (&b)[kSteps]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 v = load_shared16(at + half * 16);
      b[2 * half] = {{v.x, v.y}};
      b[2 * half + 1] = {{v.z, v.w}};
    }
  }
};

// A unit of 64 inputs lies within one group, or holds two of 32.
template <uint32_t kGroup>
struct Int4Unit {
  static constexpr uint32_t kInputs = 64;
  static constexpr int kSteps = 4;
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
            p.group_scales + pairs * (kInt4PadInputs / kGroup * 64) + id.g() * 8};
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

  static __device__ void widen(const Stage& stage, FragmentA (&a)[kSteps]) {
    const uint32_t words[kSteps] = {stage.words.x, stage.words.y, stage.words.z, stage.words.w};
#pragma unroll
    for (int j = 0; j < kSteps; ++j) {
      const uint2 scale = stage.scales[j * kGroups / kSteps];
      a[j] = Int4Format<kGroup>::widen(
          words[j], (scale.x & 15) * 0x10001 + 0x43004300, (scale.y & 15) * 0x10001 + 0x43004300);
    }
  }

  static __device__ uint32_t lane_offset(uint32_t stride, LaneId id) {
    return id.lane % 8 * stride + id.lane / 8 * 16;
  }

  static __device__ void load_b(uint32_t at, FragmentB (&b)[kSteps]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 v = load_matrix4(at + half * 64);
      b[2 * half] = {{v.x, v.y}};
      b[2 * half + 1] = {{v.z, v.w}};
    }
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

// One tile of 8 rows times one unit of each of kStrips strips.
template <typename Unit, int kStrips>
__device__ __forceinline__ void multiply_unit(const typename Unit::Stage (&stages)[kStrips],
                                              const FragmentA (&a)[kStrips][Unit::kSteps],
                                              const FragmentB (&b)[Unit::kSteps],
                                              float4* const (&sums)[kStrips]) {
  if constexpr (Unit::kGroups == 0) {
#pragma unroll
    for (int step = 0; step < Unit::kSteps; ++step) {
#pragma unroll
      for (int s = 0; s < kStrips; ++s) mma_bf16(*sums[s], a[s][step], b[step]);
    }
  } else {
    constexpr int kStepsOfGroup = Unit::kSteps / Unit::kGroups;
#pragma unroll
    for (int group = 0; group < Unit::kGroups; ++group) {
      float4 parts[kStrips];
#pragma unroll
      for (int s = 0; s < kStrips; ++s) parts[s] = make_float4(0, 0, 0, 0);
#pragma unroll
      for (int j = 0; j < kStepsOfGroup; ++j) {
        const int step = group * kStepsOfGroup + j;
#pragma unroll
        for (int s = 0; s < kStrips; ++s) mma_bf16(parts[s], a[s][step], b[step]);
      }
#pragma unroll
      for (int s = 0; s < kStrips; ++s) add_scaled(*sums[s], stages[s].scales[group], parts[s]);
    }
  }
}

}  // namespace sluice
