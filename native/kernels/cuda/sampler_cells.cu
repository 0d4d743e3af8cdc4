// What each slot has said, a cell for each id: bit 15 says that the prompt holds it, the rest
// counts it in the output, up to the most that fits.
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/sampler.h"

namespace sluice {
namespace {

constexpr uint32_t kThreads = 1024;

// Several histories may be renewed at once: one block each.
__global__ void __launch_bounds__(kThreads) renew_kernel(const RenewArgs args) {
  pdl_launch_dependents();
  pdl_wait();
  const SlotHistory history = args.histories[blockIdx.x];
  if (history.slot < 0) return;
  uint16_t* cells = args.cells + static_cast<uint64_t>(history.slot) * args.vocab_size;
  for (uint32_t id = threadIdx.x; id < args.vocab_size; id += kThreads) cells[id] = 0;
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < history.count; i += kThreads) {
    const uint32_t id = args.ids[history.begin + i];
    if (id >= args.vocab_size) continue;
    const bool is_prompt = i < history.prompt_tokens;
    unsigned short before = cells[id];
    while (true) {
      const bool is_full = !is_prompt && (before & kCellCountMax) == kCellCountMax;
      const unsigned after = is_prompt ? before | kCellPrompt : is_full ? before : before + 1u;
      const unsigned short seen = atomicCAS(cells + id, before, static_cast<unsigned short>(after));
      if (seen == before) break;
      before = seen;
    }
  }
}

}  // namespace

size_t sampler_cells_bytes(uint32_t slots, uint32_t vocab_size) {
  return size_t{slots} * vocab_size * sizeof(uint16_t);
}

Status renew_slots(const RenewArgs& args, DeviceStream stream) {
  if (args.count == 0) return Status::ok();
  return launch_kernel(renew_kernel, {dim3(args.count), dim3(kThreads)}, stream, args);
}

}  // namespace sluice
