// How the wide kernel divides a matrix: blocks of 128 outputs, chunks of two units of inputs, and
// splits of the chunks where there are too few blocks to fill a device. All of it follows from the
// matrix, never from the number of rows or the device at hand.
#pragma once

#include "kernels/cuda/strip_shape.h"

namespace sluice {

// Blocks with their splits, where a matrix is split: bounds the scratch.
inline constexpr uint32_t kWideSplitBlocksMax = 528;

inline uint32_t wide_chunk_inputs(DeviceFormat format) {
  return format == DeviceFormat::kBf16 ? 64 : 128;
}

inline StripShape wide_shape(const DeviceMatrix& matrix) {
  constexpr uint32_t kBlockOutputs = 128;
  constexpr uint32_t kSlots = 132;  // blocks that run at once on the devices this is made for
  constexpr uint32_t kSplitsMax = 8;
  constexpr uint32_t kSplitInputs = 512;  // a split is worth at least these
  StripShape shape;
  shape.strips = (matrix.outputs + kStripRows - 1) / kStripRows;
  shape.chunk_inputs = wide_chunk_inputs(matrix.format);
  shape.chunks = (matrix.inputs + shape.chunk_inputs - 1) / shape.chunk_inputs;
  const uint32_t blocks = (matrix.outputs + kBlockOutputs - 1) / kBlockOutputs;
  uint32_t best = 1;
  uint32_t best_fill = 0;  // per mille of the slots in all rounds
  for (uint32_t splits = 1; splits <= kSplitsMax; ++splits) {
    if (splits > 1 && matrix.inputs < splits * kSplitInputs) break;
    if (splits > 1 && blocks * splits > kWideSplitBlocksMax) break;
    const uint32_t rounds = (blocks * splits + kSlots - 1) / kSlots;
    const uint32_t fill = 1000 * blocks * splits / (rounds * kSlots);
    if (fill < best_fill + 50) continue;
    best = splits;
    best_fill = fill;
  }
  shape.split_chunks = (shape.chunks + best - 1) / best;
  shape.splits = (shape.chunks + shape.split_chunks - 1) / shape.split_chunks;
  return shape;
}

}  // namespace sluice
