// One CUDA block a pool: a copy call for each would cost more than the copy.
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/swap.h"

namespace sluice {
namespace {

constexpr uint32_t kThreads = 256;

template <bool kSave>
__global__ void swap_kernel(const SwapArgs args) {
  pdl_launch_dependents();
  pdl_wait();
  const uint64_t pool = blockIdx.x;
  auto* device =
      reinterpret_cast<uint4*>(args.pools + pool * args.pool_bytes + args.block * args.part_bytes);
  auto* host = reinterpret_cast<uint4*>(args.host + pool * args.part_bytes);
  const uint64_t vectors = args.part_bytes / 16;
  for (uint64_t i = threadIdx.x; i < vectors; i += kThreads) {
    if (kSave) {
      host[i] = device[i];
    } else {
      device[i] = host[i];
    }
  }
}

}  // namespace

Status save_kv_block(const SwapArgs& args, DeviceStream stream) {
  return launch_kernel(swap_kernel<true>, {dim3(args.pool_count), dim3(kThreads)}, stream, args);
}

Status load_kv_block(const SwapArgs& args, DeviceStream stream) {
  return launch_kernel(swap_kernel<false>, {dim3(args.pool_count), dim3(kThreads)}, stream, args);
}

}  // namespace sluice
