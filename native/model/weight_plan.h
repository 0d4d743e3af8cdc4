// From a checkpoint's tensors to a model's weights, before anything is allocated: every tensor that
// the family needs is found by its Hugging Face name and its shape held against config.json, and
// each gets its place in the arena. A tensor that is missing, has another shape, or that nobody
// would read is refused by name: it would mean that the model computes something else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/pack.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/weights.h"

namespace sluice {

// A dense or quantised matrix to be packed. Offsets are into the arena.
struct MatrixFill {
  Matrix* matrix = nullptr;
  const Tensor* weight = nullptr;   // dense
  const Tensor* qweight = nullptr;  // int4 or int8, with:
  const Tensor* qzeros = nullptr;   // int4; null: all zero points are 8
  const Tensor* scales = nullptr;
  Int4Packing packing = Int4Packing::kAwqGemm;
  bool is_int8 = false;
  uint8_t int8_offset = 0;       // what was added to each int8 value: 0 or 128
  const Tensor* bias = nullptr;  // or null
  uint64_t weights_at = 0;
  uint64_t scales_at = 0;
  uint64_t zeros_at = 0;
  uint64_t bias_at = 0;
};

// A vector that is widened to float32.
struct VectorFill {
  const float** vector = nullptr;
  const Tensor* tensor = nullptr;
  uint64_t at = 0;
};

struct WeightPlan {
  std::vector<MatrixFill> matrices;
  std::vector<VectorFill> vectors;
  uint64_t arena_bytes = 0;
  uint64_t stored_bytes = 0;  // of all tensors that will be read
};

// What the dtype option asks of dense weights.
enum class DtypeWish { kStored, kF32, kBf16, kF16 };

DenseType dense_type_of(const Tensor& tensor);

// `weights` gets its structure and is pointed into: it must outlive the plan and stay where it is.
struct PlanArgs {
  const Checkpoint* checkpoint = nullptr;
  const ModelConfig* config = nullptr;
  DtypeWish wish = DtypeWish::kStored;
};

Status plan_weights(const PlanArgs& args, ModelWeights* weights, WeightPlan* plan);

}  // namespace sluice
