// From a run's arguments to a launch of strip_kernel: tiles by rows, blocks by what fills the
// device evenly.
#pragma once

#include "kernels/cuda/strip_kernel.cuh"
#include "kernels/cuda/strip_linear.h"

namespace sluice {

// What the driver keeps of a block's shared memory.
inline constexpr uint32_t kSharedReserved = 1024;

// Of each warp, beyond its loads in flight: together some MB, what memory delivers while a small
// kernel runs.
inline constexpr uint32_t kPrefetchBytes = 4096;

uint32_t multiprocessors();
uint32_t block_shared_max();
uint32_t sm_shared();

// Blocks an SM that leave the last round of items fullest; more of them where it is alike.
uint32_t even_blocks(uint32_t items, uint32_t most);

StripParameters strip_parameters(const LinearArgs& args, const StripScratch& scratch);

template <typename Format, int kTiles, int kParts, int kDepth, int kBlocks>
Status launch_strip(StripParameters p, DeviceStream stream) {
  const auto kernel = strip_kernel<Format, kTiles, kParts, kDepth, kBlocks>;
  static const cudaError_t raised = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(block_shared_max()));
  SLUICE_RETURN_IF_CUDA(raised);
  p.shared_stride = p.shape.split_inputs() * 2 + Format::kSharedPad;
  const uint32_t shared = StripFinish<kTiles, kParts>::kSharedBytes +
                          kParts * kStripWarps * kDepth * Format::kStageBytes +
                          p.rows * p.shared_stride;
  const uint32_t fitting = sm_shared() / (shared + kSharedReserved);
  const uint32_t most = fitting < kBlocks ? (fitting == 0 ? 1 : fitting) : kBlocks;
  const uint32_t groups = (p.shape.strips + kParts - 1) / kParts;
  const uint32_t items = groups * p.shape.splits;
  const uint32_t slots = multiprocessors() * even_blocks(items, most);
  const uint32_t runs = slots / p.shape.splits == 0 ? 1 : slots / p.shape.splits;
  const uint32_t blocks = (runs < groups ? runs : groups) * p.shape.splits;
  LaunchShape shape;
  shape.grid = dim3(blocks);
  shape.block = dim3(kStripWarps * 32 * kParts);
  shape.shared_bytes = shared;
  return launch_kernel(kernel, shape, stream, p);
}

// One or two tiles of 8 rows.
template <typename Format>
Status launch_strips(const StripParameters& p, DeviceStream stream) {
  if (p.rows <= 8) return launch_strip<Format, 1, 1, 4, Format::kBlocks>(p, stream);
  constexpr int kDepth = Format::kStageBytes > 1536 ? 4 : 6;
  return launch_strip<Format, 2, 1, kDepth, 1>(p, stream);
}

Status launch_bf16_strips(const StripParameters& p, DeviceStream stream);
Status launch_int8_strips(const StripParameters& p, DeviceStream stream);
Status launch_int4_strips(const StripParameters& p, uint32_t group_inputs, DeviceStream stream);

}  // namespace sluice
