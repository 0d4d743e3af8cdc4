// A Hugging Face folder in host memory: its config, and its weights as the CPU's kernels read them.
#pragma once

#include "model/backend.h"
#include "model/config.h"
#include "model/weights.h"
#include "runtime/thread_pool.h"

namespace sluice {

struct LoadedModel {
  ModelConfig config;
  ModelWeights weights;
};

// The message of a failed status names the file, what was found and what is supported.
Status load_model(const LoadOptions& options, ThreadPool* pool, LoadedModel* model);

}  // namespace sluice
