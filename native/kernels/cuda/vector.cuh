// Eight bf16 values as one 16-byte access, and a block's sum in a fixed order.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace sluice {

struct Float8 {
  float v[8];
};

__device__ __forceinline__ Float8 widen8(uint4 raw) {
  Float8 out;
  const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out.v[2 * i] = __uint_as_float(words[i] << 16);
    out.v[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000u);
  }
  return out;
}

__device__ __forceinline__ uint32_t narrow2(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

__device__ __forceinline__ uint4 narrow8(const Float8& in) {
  return {narrow2(in.v[0], in.v[1]),
          narrow2(in.v[2], in.v[3]),
          narrow2(in.v[4], in.v[5]),
          narrow2(in.v[6], in.v[7])};
}

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xFFFFFFFFu, value, offset);
  }
  return value;
}

// Every thread gets the sum over the block; `shared` holds 32 floats. Called once a kernel.
__device__ __forceinline__ float block_sum(float value, float* shared) {
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  const uint32_t warps = blockDim.x / 32;
  value = threadIdx.x % 32 < warps ? shared[threadIdx.x % 32] : 0.0f;
  return warp_sum(value);
}

}  // namespace sluice
