// One head of one row, as a warp holds it between the q|k|v GEMM and attention: normed where the
// family asks for it, rotated by its position. Every operation is named, so that the kernels that
// place heads give the same bits.
#pragma once

#include "kernels/cuda/place.h"
#include "kernels/cuda/vector.cuh"

namespace sluice {

inline constexpr uint32_t kHeadPairs = kPlaceHeadDimMax / 2 / 64;  // of two pairs each, per lane

// A lane holds pairs (i, i + half) of the head, which are what rotates together.
struct HeadValues {
  float2 low[kHeadPairs];   // elements i, i + 1
  float2 high[kHeadPairs];  // elements i + half, i + half + 1
};

__device__ __forceinline__ uint32_t head_element(uint32_t pair) {
  return pair * 64 + threadIdx.x % 32 * 2;
}

// f(pair, element i) for what this lane holds.
template <typename F>
__device__ __forceinline__ void each_pair(uint32_t half, F f) {
#pragma unroll
  for (uint32_t p = 0; p < kHeadPairs; ++p) {
    if (head_element(p) < half) f(p, head_element(p));
  }
}

__device__ __forceinline__ HeadValues load_head(const uint16_t* head, uint32_t half) {
  const auto widen2 = [](uint32_t raw) {
    return make_float2(__uint_as_float(raw << 16), __uint_as_float(raw & 0xFFFF0000u));
  };
  const auto* words = reinterpret_cast<const uint32_t*>(head);
  HeadValues values = {};
  each_pair(half, [&](uint32_t p, uint32_t i) {
    values.low[p] = widen2(words[i / 2]);
    values.high[p] = widen2(words[(half + i) / 2]);
  });
  return values;
}

__device__ __forceinline__ void normalise_head(HeadValues* values,
                                               const float* weight,
                                               uint32_t half,
                                               float epsilon) {
  float sum = 0;
#pragma unroll
  for (uint32_t p = 0; p < kHeadPairs; ++p) {
    const float parts[4] = {
        values->low[p].x, values->low[p].y, values->high[p].x, values->high[p].y};
#pragma unroll
    for (int i = 0; i < 4; ++i) sum = __fmaf_rn(parts[i], parts[i], sum);
  }
  const float mean = __fdiv_rn(warp_sum(sum), static_cast<float>(2 * half));
  const float scale = rsqrtf(__fadd_rn(mean, epsilon));
  each_pair(half, [&](uint32_t p, uint32_t i) {
    const auto scaled = [&](float value, float by) {
      return __fmul_rn(value, __fmul_rn(scale, by));
    };
    values->low[p].x = scaled(values->low[p].x, weight[i]);
    values->low[p].y = scaled(values->low[p].y, weight[i + 1]);
    values->high[p].x = scaled(values->high[p].x, weight[half + i]);
    values->high[p].y = scaled(values->high[p].y, weight[half + i + 1]);
  });
}

// The cosines and sines of a position that this lane's pairs need: c0 s0 c1 s1.
struct HeadAngles {
  float4 of[kHeadPairs];
};

__device__ __forceinline__ HeadAngles load_angles(const float* row, uint32_t half) {
  HeadAngles angles = {};
  each_pair(half, [&](uint32_t p, uint32_t i) {
    angles.of[p] = *reinterpret_cast<const float4*>(row + 2 * i);
  });
  return angles;
}

__device__ __forceinline__ void rotate_head(HeadValues* values, const HeadAngles& angles) {
#pragma unroll
  for (uint32_t p = 0; p < kHeadPairs; ++p) {
    const float4 angle = angles.of[p];
    const float2 low = values->low[p];
    const float2 high = values->high[p];
    values->low[p] = {__fmaf_rn(low.x, angle.x, -__fmul_rn(high.x, angle.y)),
                      __fmaf_rn(low.y, angle.z, -__fmul_rn(high.y, angle.w))};
    values->high[p] = {__fmaf_rn(high.x, angle.x, __fmul_rn(low.x, angle.y)),
                       __fmaf_rn(high.y, angle.z, __fmul_rn(low.y, angle.w))};
  }
}

// store(element, two bf16 values) for what this lane holds.
template <typename Store>
__device__ __forceinline__ void store_head(const HeadValues& values, uint32_t half, Store store) {
  each_pair(half, [&](uint32_t p, uint32_t i) {
    store(i, narrow2(values.low[p].x, values.low[p].y));
    store(half + i, narrow2(values.high[p].x, values.high[p].y));
  });
}

}  // namespace sluice
