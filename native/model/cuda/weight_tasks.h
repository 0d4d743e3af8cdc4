// What there is to load, as tasks that any reader may take: pieces of dense tensors, and whole int4
// tensors with their scales and zero points.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/weights.h"
#include "model/cuda/device_weights.h"
#include "model/weight_plan.h"

namespace sluice {

// Rows of a dense tensor that are read in one go; a tensor's row may be larger.
inline constexpr uint64_t kPieceBytes = 16 << 20;

struct DensePiece {
  const Tensor* tensor = nullptr;
  uint64_t offset = 0;  // bytes of the tensor
  uint64_t bytes = 0;
  DenseTensor shape;       // `values` is the reader's
  RowPlacement placement;  // of the piece's first row
  uint16_t* out = nullptr;
};

struct Int4Load {
  const MatrixFill* fill = nullptr;
  Int4Tensors shape;  // pointers are the reader's
  RowPlacement placement;
  DeviceMatrix out;

  uint64_t stored_bytes() const;
};

// A piece of an int8 tensor's rows, with their scales.
struct Int8Piece {
  const MatrixFill* fill = nullptr;
  uint32_t first_row = 0;
  Int8Tensors shape;  // pointers are the reader's
  RowPlacement placement;
  DeviceMatrix out;

  uint64_t weight_bytes() const { return uint64_t{shape.outputs} * shape.inputs; }
};

struct VectorLoad {
  const Tensor* tensor = nullptr;
  float* out = nullptr;
};

struct LoadTasks {
  std::vector<DensePiece> pieces;
  std::vector<Int4Load> int4;
  std::vector<Int8Piece> int8;
  std::vector<VectorLoad> vectors;
};

// The formats of the planned linears; fails where the device runs none of it, or where the parts of
// one linear differ.
Status formats_of(const ModelWeights& planned,
                  const WeightPlan& plan,
                  std::vector<LinearFormat>* formats);

// Where format_of finds a linear's format among formats_of's.
inline size_t format_index(LinearKind kind, uint32_t layer) {
  return kind == LinearKind::kHead ? 0 : 1 + layer * 4 + static_cast<size_t>(kind);
}

void list_tasks(const ModelWeights& planned,
                const WeightPlan& plan,
                const DeviceWeights& weights,
                LoadTasks* tasks);

}  // namespace sluice
