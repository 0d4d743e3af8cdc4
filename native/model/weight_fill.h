// Reads the tensors of a plan and packs them into the arena, several strips at once. Files are read
// by position in pieces of bounded size; no tensor is held whole but a quantised one.
#pragma once

#include <cstdint>
#include <functional>

#include "model/checkpoint.h"
#include "model/weight_plan.h"
#include "runtime/thread_pool.h"

namespace sluice {

struct FillArgs {
  const Checkpoint* checkpoint = nullptr;
  ThreadPool* pool = nullptr;
  std::function<void(uint64_t done, uint64_t total)> progress;  // bytes; may be empty
};

// Takes the arena and points every weight of the plan into it.
Status fill_weights(const FillArgs& args, const WeightPlan& plan, ModelWeights* weights);

}  // namespace sluice
