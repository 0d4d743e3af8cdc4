// How the strip kernels divide a matrix, and with it the order of every sum. A strip is 16 outputs.
// Its inputs are cut into chunks; chunks into `splits` equal runs; inside a run eight warps take
// chunks in turn. One output is then
//
//   sum over splits in order of (sum over warps in order of (the warp's chunks in order))
//
// and all of it follows from the matrix's format and size, never from the number of rows.
#pragma once

#include <cstdint>

#include "kernels/cuda/linear.h"

namespace sluice {

inline constexpr uint32_t kStripRows = 16;
inline constexpr uint32_t kStripWarps = 8;

// Inputs whose activations one block keeps in shared memory: longer rows are split.
inline constexpr uint32_t kSplitInputsMax = 4096;

struct StripShape {
  uint32_t strips = 0;
  uint32_t chunk_inputs = 0;
  uint32_t chunks = 0;
  uint32_t splits = 0;
  uint32_t split_chunks = 0;
  uint32_t steps = 0;  // chunks of a warp in a split
};

inline uint32_t chunk_inputs_of(DeviceFormat format) {
  switch (format) {
    case DeviceFormat::kBf16:
      return 64;
    case DeviceFormat::kInt8:
    case DeviceFormat::kInt4:
      return 128;
  }
  return 64;
}

inline StripShape strip_shape(const DeviceMatrix& matrix) {
  StripShape shape;
  shape.strips = (matrix.outputs + kStripRows - 1) / kStripRows;
  shape.chunk_inputs = chunk_inputs_of(matrix.format);
  shape.chunks = (matrix.inputs + shape.chunk_inputs - 1) / shape.chunk_inputs;
  shape.splits = (matrix.inputs + kSplitInputsMax - 1) / kSplitInputsMax;
  shape.split_chunks = (shape.chunks + shape.splits - 1) / shape.splits;
  shape.steps = (shape.split_chunks + kStripWarps - 1) / kStripWarps;
  return shape;
}

}  // namespace sluice
