// The blocks that work on one row: a cluster of them where the chip has clusters, one otherwise.
// Sums and maxima go over the team in an order that is fixed by the vocabulary alone.
#pragma once

#include <cstdint>

namespace sluice {

inline constexpr uint32_t kSamplerThreads = 512;
inline constexpr uint32_t kSamplerWarps = kSamplerThreads / 32;
inline constexpr uint32_t kTeamMax = 8;

// Sixteen bytes that any reduced value fits into.
struct alignas(16) TeamSlot {
  char bytes[16];
};

struct TeamShared {
  TeamSlot warps[kSamplerWarps];
  TeamSlot block[2];  // by turns, so that one barrier a reduction is enough
};

template <typename T>
__device__ __forceinline__ T shuffle_down(T value, uint32_t offset) {
  static_assert(sizeof(T) % 4 == 0 && sizeof(T) <= sizeof(TeamSlot));
  union {
    T value;
    uint32_t words[sizeof(T) / 4];
  } both = {value};
#pragma unroll
  for (uint32_t i = 0; i < sizeof(T) / 4; ++i) {
    both.words[i] = __shfl_down_sync(0xFFFFFFFFu, both.words[i], offset);
  }
  return both.value;
}

template <uint32_t kBlocks>
class Team {
 public:
  __device__ __forceinline__ explicit Team(TeamShared* shared) : shared_(shared) {}

  __device__ __forceinline__ uint32_t rank() const {
    uint32_t rank = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if (kBlocks > 1) asm("mov.u32 %0, %%cluster_ctarank;\n" : "=r"(rank));
#endif
    return rank;
  }

  __device__ __forceinline__ void sync() const {
    if (kBlocks == 1) {
      __syncthreads();
    } else {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
      asm volatile(
          "barrier.cluster.arrive.release.aligned;\n"
          "barrier.cluster.wait.acquire.aligned;\n" ::
              : "memory");
#endif
    }
  }

  // The same variable in another block's shared memory.
  template <typename T>
  __device__ __forceinline__ T* of(T* mine, uint32_t rank) const {
    if (kBlocks == 1) return mine;
    uint64_t address = reinterpret_cast<uint64_t>(mine);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("mapa.u64 %0, %1, %2;\n" : "=l"(address) : "l"(address), "r"(rank));
#endif
    return reinterpret_cast<T*>(address);
  }

  // combine(earlier, later), over all threads of all blocks; every thread gets the result.
  template <typename T, typename Combine>
  __device__ __forceinline__ T reduce(T value, Combine combine) {
#pragma unroll
    for (uint32_t offset = 16; offset > 0; offset /= 2) {
      value = combine(value, shuffle_down(value, offset));
    }
    const auto slot = [](TeamSlot* at) { return reinterpret_cast<T*>(at); };
    __syncthreads();
    if (threadIdx.x % 32 == 0) *slot(shared_->warps + threadIdx.x / 32) = value;
    __syncthreads();
    TeamSlot* block = shared_->block + turn_;
    turn_ ^= 1;
    if (threadIdx.x < 32) {
      value = *slot(shared_->warps + threadIdx.x % kSamplerWarps);
#pragma unroll
      for (uint32_t offset = kSamplerWarps / 2; offset > 0; offset /= 2) {
        value = combine(value, shuffle_down(value, offset));
      }
      if (threadIdx.x == 0) *slot(block) = value;
    }
    sync();
    value = *slot(of(block, 0));
#pragma unroll
    for (uint32_t i = 1; i < kBlocks; ++i) value = combine(value, *slot(of(block, i)));
    return value;
  }

 private:
  TeamShared* shared_;
  uint32_t turn_ = 0;
};

}  // namespace sluice
