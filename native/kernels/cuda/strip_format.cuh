// The three weight formats as the strip kernels see them: what a warp copies for one chunk of 16
// outputs into a slot of its own in shared memory, what a lane then reads of it (a Stage), and how
// that becomes tensor core steps. 16-byte accesses feed fragments without any shuffle, because a
// dot product does not care for the order of its inputs as long as both sides agree on it.
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
  uint32_t shared_stride = 0;  // bytes between rows of x in shared memory
  // A block takes all splits of its strips one after another, rather than one of them.
  bool in_sequence = false;
  LinearOutput output = LinearOutput::kBf16;
  StripShape shape;
};

// Where a warp's strip begins, for one lane.
struct StripBase {
  const uint8_t* low = nullptr;   // row formats: the lane's row and column; int4: its words
  const uint8_t* high = nullptr;  // int4: the lane's scales
  uint32_t rows = 0;              // row formats: outputs from the lane's row to the last
};

// Activations of one tile of 8 rows in shared memory, for one lane.
using TileAddress = uint32_t;

struct LaneId {
  uint32_t lane;
  __device__ uint32_t g() const { return lane / 4; }
  __device__ uint32_t t() const { return lane % 4; }
};

// Row-major formats take 128 bytes of each of 16 rows at a time, whole lines of memory: an access
// of a warp is four rows. In shared memory a row's eight vectors change places in odd rows, so that
// the fragments' reads, four vectors of two rows at once, meet no bank twice.
inline constexpr uint32_t kLineBytes = 128;

__device__ __forceinline__ StripBase row_base(const StripParameters& p,
                                              uint32_t strip,
                                              LaneId id,
                                              uint32_t row_bytes) {
  const uint32_t row = strip * kStripRows + id.lane / 8;
  return {p.weights + uint64_t{row} * row_bytes + id.lane % 8 * 16,
          nullptr,
          row < p.outputs ? p.outputs - row : 0};
}

// Which 128 bytes of rows of so many.
struct LinePlace {
  uint32_t line;
  uint32_t row_bytes;
};

// Outputs past the end become zeros.
__device__ __forceinline__ void copy_lines(const StripBase& base,
                                           const LinePlace& place,
                                           LaneId id,
                                           uint32_t slot) {
  const auto [line, row_bytes] = place;
  const bool is_inside = line * kLineBytes + id.lane % 8 * 16 < row_bytes;
  const uint32_t row = id.lane / 8;
  const uint32_t to = slot + row * kLineBytes + (id.lane % 8 ^ row % 2 * 4) * 16;
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    const uint8_t* from = base.low + uint64_t{i} * 4 * row_bytes + line * kLineBytes;
    copy16_async(to + i * 4 * kLineBytes, from, is_inside && i * 4 < base.rows);
  }
}

// Vector 4 half + t of rows g and g + 8.
struct RowPair {
  uint4 low;
  uint4 high;
};

__device__ __forceinline__ RowPair read_pair(uint32_t slot, LaneId id, uint32_t half) {
  const uint32_t at = slot + id.g() * kLineBytes + ((half * 4 + id.t()) ^ id.g() % 2 * 4) * 16;
  return {load_shared16(at), load_shared16(at + 8 * kLineBytes)};
}

// Plain [outputs, inputs]. Lane (g, t) holds inputs 8t .. 8t + 7 of each half of a chunk of 64:
// step j takes 8t + 4j + {0, 1} as its k 2t, 2t + 1 and 8t + 4j + {2, 3} as 2t + 8, 2t + 9.
struct Bf16Format {
  static constexpr uint32_t kChunk = 64;
  static constexpr uint32_t kSharedPad = 64;     // rows two apart meet in the same banks
  static constexpr uint32_t kStageBytes = 2048;  // of a warp

  struct Stage {
    RowPair halves[2];
  };

  static __device__ StripBase base(const StripParameters& p, uint32_t strip, LaneId id) {
    return row_base(p, strip, id, p.inputs * 2);
  }

  static __device__ void copy(
      const StripParameters& p, const StripBase& base, uint32_t chunk, LaneId id, uint32_t slot) {
    copy_lines(base, {chunk, p.inputs * 2}, id, slot);
  }

  static __device__ Stage read(uint32_t slot, LaneId id) {
    return {{read_pair(slot, id, 0), read_pair(slot, id, 1)}};
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
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const RowPair& w = stage.halves[half];
      const FragmentA first = {{w.low.x, w.high.x, w.low.y, w.high.y}};
      const FragmentA second = {{w.low.z, w.high.z, w.low.w, w.high.w}};
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
        const uint4 v = load_shared16(x[n] + local_chunk * (kChunk * 2) + half * 64);
        mma_bf16(sums[n], first, {{v.x, v.y}});
        mma_bf16(sums[n], second, {{v.z, v.w}});
      }
    }
  }
};

// A byte becomes bf16 exactly: its low seven bits as 128 + n, less 128 or, with the sign bit, 256.
__device__ __forceinline__ uint32_t widen_bytes(uint32_t bytes) {
  return subtract_bf16x2(and_or(bytes, 0x007F007F, 0x43004300),
                         and_or(bytes, 0x00800080, 0x43004300));
}

// Step j of 16 int8 inputs 16t .. 16t + 15 of rows g and g + 8 is word j of both.
__device__ __forceinline__ FragmentA widen_int8(uint32_t low, uint32_t high) {
  return {{widen_bytes(low), widen_bytes(high), widen_bytes(low >> 8), widen_bytes(high >> 8)}};
}

// [outputs, inputs] int8, the middle bytes of each four swapped. The scale follows the whole sum.
struct Int8Format {
  static constexpr uint32_t kChunk = 128;
  static constexpr uint32_t kSharedPad = 16;
  static constexpr uint32_t kStageBytes = 2048;

  using Stage = Bf16Format::Stage;

  static __device__ StripBase base(const StripParameters& p, uint32_t strip, LaneId id) {
    return row_base(p, strip, id, p.inputs);
  }

  static __device__ void copy(
      const StripParameters& p, const StripBase& base, uint32_t chunk, LaneId id, uint32_t slot) {
    copy_lines(base, {chunk, p.inputs}, id, slot);
  }

  static __device__ Stage read(uint32_t slot, LaneId id) { return Bf16Format::read(slot, id); }

  static __device__ TileAddress
  tile_address(uint32_t shared, uint32_t row_of_g, LaneId id, uint32_t stride, uint32_t) {
    return shared + row_of_g * stride + id.t() * 32;
  }

  template <int kTiles>
  static __device__ void consume(const Stage& stage,
                                 const TileAddress (&x)[kTiles],
                                 uint32_t local_chunk,
                                 float4 (&sums)[kTiles]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const RowPair& w = stage.halves[half];
      const FragmentA a[4] = {widen_int8(w.low.x, w.high.x),
                              widen_int8(w.low.y, w.high.y),
                              widen_int8(w.low.z, w.high.z),
                              widen_int8(w.low.w, w.high.w)};
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
        const uint32_t at = x[n] + local_chunk * (kChunk * 2) + half * 128;
        const uint4 first = load_shared16(at);
        const uint4 second = load_shared16(at + 16);
        mma_bf16(sums[n], a[0], {{first.x, first.y}});
        mma_bf16(sums[n], a[1], {{first.z, first.w}});
        mma_bf16(sums[n], a[2], {{second.x, second.y}});
        mma_bf16(sums[n], a[3], {{second.z, second.w}});
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
            p.group_scales + chunks * (kGroups * 64) + id.g() * 8,
            0};
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
