// A ring of buffers in shared memory between one warp that copies and several that compute. Each
// buffer has two barriers: `full` completes when its bytes have landed, `empty` when every consumer
// warp has let go of it. Copies are bulk copies on sm_90 and later, cp.async before.
//
// Producer and consumers walk the same sequence of buffers; each keeps its own RingPlace.
#pragma once

#include <cstdint>

#include "kernels/cuda/mma.cuh"

namespace sluice {

__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;\n" ::"r"(barrier), "r"(count) : "memory");
}

__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
  asm volatile("{ .reg .b64 state; mbarrier.arrive.shared.b64 state, [%0]; }\n" ::"r"(barrier)
               : "memory");
}

__device__ __forceinline__ bool barrier_is_past(uint32_t barrier, uint32_t parity) {
  uint32_t past;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile(
      "{ .reg .pred p; mbarrier.try_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }\n"
      : "=r"(past)
      : "r"(barrier), "r"(parity)
      : "memory");
#else
  asm volatile(
      "{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }\n"
      : "=r"(past)
      : "r"(barrier), "r"(parity)
      : "memory");
#endif
  return past != 0;
}

__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity) {
  while (!barrier_is_past(barrier, parity)) {
  }
}

// What one `full` barrier counts besides bytes: one arrival with bulk copies, one of each copying
// lane without.
__device__ __forceinline__ constexpr uint32_t full_arrivals() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  return 1;
#else
  return 32;
#endif
}

inline constexpr uint32_t kBarrierBytes = 8;

// Which buffer comes next, and in which round of the ring.
struct RingPlace {
  uint32_t index = 0;
  uint32_t round = 0;

  __device__ __forceinline__ void advance(uint32_t buffers) {
    if (++index == buffers) {
      index = 0;
      ++round;
    }
  }
};

// All places are addresses in shared memory.
struct CopyRing {
  uint32_t full = 0;  // barriers, one a buffer
  uint32_t empty = 0;
  uint32_t data = 0;
  uint32_t buffers = 0;
  uint32_t buffer_bytes = 0;

  __device__ __forceinline__ uint32_t at(const RingPlace& place) const {
    return data + place.index * buffer_bytes;
  }
  __device__ __forceinline__ uint32_t full_of(const RingPlace& place) const {
    return full + place.index * kBarrierBytes;
  }
  __device__ __forceinline__ uint32_t empty_of(const RingPlace& place) const {
    return empty + place.index * kBarrierBytes;
  }
  __device__ __forceinline__ void wait_full(const RingPlace& place) const {
    barrier_wait(full_of(place), place.round & 1);
  }
  // The producer's wait; the first round of the ring is empty as it stands.
  __device__ __forceinline__ void wait_empty(const RingPlace& place) const {
    if (place.round > 0) barrier_wait(empty_of(place), (place.round - 1) & 1);
  }
  // By a whole consumer warp, when none of its lanes reads the buffer any more.
  __device__ __forceinline__ void release(const RingPlace& place) const {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(empty_of(place));
  }
  // By one thread, before the block's first __syncthreads.
  __device__ __forceinline__ void init(uint32_t consumer_warps) const {
    for (uint32_t i = 0; i < buffers; ++i) {
      barrier_init(full + i * kBarrierBytes, full_arrivals());
      barrier_init(empty + i * kBarrierBytes, consumer_warps);
    }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
  }
};

// What a copy is made of: runs of so many bytes, so far apart in the buffer.
struct Runs {
  uint32_t count;
  uint32_t bytes;
  uint32_t stride;
};

// The whole producer warp copies runs, run i from source(i); the buffer's `full` completes when all
// have landed. All lanes call source.
template <typename Source>
__device__ __forceinline__ void copy_runs(const CopyRing& ring,
                                          const RingPlace& place,
                                          const Runs& runs,
                                          Source source) {
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t full = ring.full_of(place);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if (lane == 0) {
    asm volatile(
        "{ .reg .b64 state; mbarrier.arrive.expect_tx.shared.b64 state, [%0], %1; }\n" ::"r"(full),
        "r"(runs.count * runs.bytes)
        : "memory");
  }
  const void* from = source(lane < runs.count ? lane : runs.count - 1);
  __syncwarp();
  if (lane < runs.count) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
        "[%3];\n" ::"r"(ring.at(place) + lane * runs.stride),
        "l"(from),
        "r"(runs.bytes),
        "r"(full)
        : "memory");
  }
#else
  for (uint32_t run = 0; run < runs.count; ++run) {
    const char* from = reinterpret_cast<const char*>(source(run));
    const uint32_t to = ring.at(place) + run * runs.stride;
    for (uint32_t at = lane * 16; at < runs.bytes; at += 32 * 16) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(to + at), "l"(from + at)
                   : "memory");
    }
  }
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];\n" ::"r"(full) : "memory");
#endif
}

}  // namespace sluice
