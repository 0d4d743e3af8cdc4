// From a run's arguments to a launch of strip_kernel: tiles by rows, blocks by what fills the
// device evenly.
#pragma once

#include "kernels/cuda/strip_kernel.cuh"
#include "kernels/cuda/strip_linear.h"

namespace sluice {

// What the driver keeps of a block's shared memory.
inline constexpr uint32_t kSharedReserved = 1024;

uint32_t multiprocessors();
uint32_t block_shared_max();
uint32_t sm_shared();

// Blocks an SM, at most `most`: what takes all items in one round, or leaves the last of several
// rounds fullest.
uint32_t even_blocks(uint32_t items, uint32_t most);

StripParameters strip_parameters(const LinearArgs& args, const StripScratch& scratch);

// With each block's share of shared memory no more blocks fit on an SM than are meant to: else the
// first SMs that an earlier kernel leaves would take more than their part.
inline uint32_t exact_shared(uint32_t needed, uint32_t blocks) {
  const uint32_t share = sm_shared() / (blocks + 1);
  return needed + kSharedReserved > share ? needed : share;
}

template <typename Format, int kTiles, int kParts, int kDepth, int kBlocks>
Status launch_strip(StripParameters p, DeviceStream stream) {
  const auto kernel = strip_kernel<Format, kTiles, kParts, kDepth, kBlocks>;
  static const cudaError_t raised = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(block_shared_max()));
  SLUICE_RETURN_IF_CUDA(raised);
  constexpr uint32_t kFixed = StripFinish<kTiles, kParts>::kSharedBytes +
                              kParts * kStripWarps * kDepth * Format::kStageBytes;
  const auto stride_of = [&](uint32_t chunks) {
    return chunks * Format::kChunk * 2 + Format::kSharedPad;
  };
  // Splits share activations between blocks; where all of them fit, joining costs less inside one.
  const uint32_t whole = kFixed + p.rows * stride_of(p.shape.chunks);
  p.in_sequence = p.shape.splits > 1 && p.shape.strips >= multiprocessors() * kParts * 3 / 4 &&
                  kBlocks * (whole + kSharedReserved) <= sm_shared();
  p.shared_stride = stride_of(p.in_sequence ? p.shape.chunks : p.shape.split_chunks);
  const uint32_t shared = kFixed + p.rows * p.shared_stride;
  const uint32_t fitting = sm_shared() / (shared + kSharedReserved);
  const uint32_t most = fitting < kBlocks ? (fitting == 0 ? 1 : fitting) : kBlocks;
  const uint32_t groups = (p.shape.strips + kParts - 1) / kParts;
  const uint32_t ways = p.in_sequence ? 1 : p.shape.splits;
  const uint32_t blocks = even_blocks(groups * ways, most);
  const uint32_t slots = multiprocessors() * blocks;
  const uint32_t runs = slots / ways == 0 ? 1 : slots / ways;
  LaunchShape shape;
  shape.grid = dim3((runs < groups ? runs : groups) * ways);
  shape.block = dim3(kStripWarps * 32 * kParts);
  shape.shared_bytes = exact_shared(shared, blocks);
  return launch_kernel(kernel, shape, stream, p);
}

// One or two tiles of 8 rows.
template <typename Format>
Status launch_strips(const StripParameters& p, DeviceStream stream) {
  if (p.rows <= 8) return launch_strip<Format, 1, 1, 4, 2>(p, stream);
  constexpr int kDepth = 3;
  return launch_strip<Format, 2, 1, kDepth, 1>(p, stream);
}

Status launch_bf16_strips(const StripParameters& p, DeviceStream stream);
Status launch_int8_strips(const StripParameters& p, DeviceStream stream);
Status launch_int4_strips(const StripParameters& p, uint32_t group_inputs, DeviceStream stream);

}  // namespace sluice
