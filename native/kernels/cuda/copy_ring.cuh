// A ring of buffers in shared memory between one warp that copies and several that compute. Each
// buffer has two barriers: `full` completes when its bytes have landed, `empty` when every consumer
// warp has let go of it. Copies are bulk copies on sm_90 and later, cp.async before.
//
// Producer and consumers walk the same sequence of buffers; each keeps its own RingPlace.
#pragma once

#include <cstdint>

#include "kernels/cuda/mma.cuh"

namespace sluice {

__device__ __forceinline__ void barrier_init(uint64_t* barrier, uint32_t count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;\n" ::"r"(shared_address(barrier)), "r"(count)
               : "memory");
}

__device__ __forceinline__ void barrier_arrive(uint64_t* barrier) {
  asm volatile("{ .reg .b64 state; mbarrier.arrive.shared.b64 state, [%0]; }\n" ::"r"(
                   shared_address(barrier))
               : "memory");
}

__device__ __forceinline__ bool barrier_is_past(uint64_t* barrier, uint32_t parity) {
  uint32_t past;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile(
      "{ .reg .pred p; mbarrier.try_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }\n"
      : "=r"(past)
      : "r"(shared_address(barrier)), "r"(parity)
      : "memory");
#else
  asm volatile(
      "{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }\n"
      : "=r"(past)
      : "r"(shared_address(barrier)), "r"(parity)
      : "memory");
#endif
  return past != 0;
}

__device__ __forceinline__ void barrier_wait(uint64_t* barrier, uint32_t parity) {
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

struct CopyRing {
  uint64_t* full = nullptr;
  uint64_t* empty = nullptr;
  char* data = nullptr;
  uint32_t buffers = 0;
  uint32_t buffer_bytes = 0;

  __device__ __forceinline__ char* at(const RingPlace& place) const {
    return data + place.index * buffer_bytes;
  }
  __device__ __forceinline__ void wait_full(const RingPlace& place) const {
    barrier_wait(full + place.index, place.round & 1);
  }
  // The producer's wait; the first round of the ring is empty as it stands.
  __device__ __forceinline__ void wait_empty(const RingPlace& place) const {
    if (place.round > 0) barrier_wait(empty + place.index, (place.round - 1) & 1);
  }
  // By a whole consumer warp, when none of its lanes reads the buffer any more.
  __device__ __forceinline__ void release(const RingPlace& place) const {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(empty + place.index);
  }
  // By one thread, before the block's first __syncthreads.
  __device__ __forceinline__ void init(uint32_t consumer_warps) const {
    for (uint32_t i = 0; i < buffers; ++i) {
      barrier_init(full + i, full_arrivals());
      barrier_init(empty + i, consumer_warps);
    }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
  }
};

// The whole producer warp copies `pieces` runs of `bytes` each, run i from source(i) to the
// buffer's i-th run; the buffer's `full` completes when all have landed. All lanes call source.
template <typename Source>
__device__ __forceinline__ void copy_runs(
    const CopyRing& ring, const RingPlace& place, uint32_t runs, uint32_t bytes, Source source) {
  const uint32_t lane = threadIdx.x % 32;
  uint64_t* full = ring.full + place.index;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if (lane == 0) {
    asm volatile(
        "{ .reg .b64 state; mbarrier.arrive.expect_tx.shared.b64 state, [%0], %1; }\n" ::"r"(
            shared_address(full)),
        "r"(runs * bytes)
        : "memory");
  }
  const void* from = source(lane < runs ? lane : runs - 1);
  __syncwarp();
  if (lane < runs) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
        "[%3];\n" ::"r"(shared_address(ring.at(place) + lane * bytes)),
        "l"(from),
        "r"(bytes),
        "r"(shared_address(full))
        : "memory");
  }
#else
  for (uint32_t run = 0; run < runs; ++run) {
    const char* from = reinterpret_cast<const char*>(source(run));
    const uint32_t to = shared_address(ring.at(place) + run * bytes);
    for (uint32_t at = lane * 16; at < bytes; at += 32 * 16) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(to + at), "l"(from + at)
                   : "memory");
    }
  }
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];\n" ::"r"(shared_address(full))
               : "memory");
#endif
}

}  // namespace sluice
