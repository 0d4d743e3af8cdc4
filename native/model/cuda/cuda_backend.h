// The backend of one NVIDIA device: weights, KV blocks and steps in its memory. It runs ahead: a
// step is launched before the one in flight is collected. Memory is divided before it is taken:
// weights, activations and graphs first, KV blocks with what is left of the share that may be used.
// A failed step means that the device is lost (kLost): the engine ends, the log does the rest.
#pragma once

#include <functional>
#include <memory>

#include "model/backend.h"
#include "model/config.h"
#include "model/cuda/device_weights.h"
#include "runtime/cuda/device.h"

namespace sluice {

struct CudaModel {
  ModelConfig config;
  DeviceWeights weights;
  DeviceInfo device;
  double memory_share = 0.9;
  bool deterministic = false;
  bool graphs = true;
  // As in StepRunnerLimits.
  std::function<void(float milliseconds)> on_step;
};

// Over weights that are there already, from a checkpoint or made up for a measurement.
Status make_cuda_backend(std::unique_ptr<CudaModel> model, std::unique_ptr<Backend>* backend);

// Loads a Hugging Face folder. What a device does not run is kUnsupported.
Status load_cuda_backend(const LoadOptions& options, std::unique_ptr<Backend>* backend);

// What the kernels run of a model's shape.
Status check_device_shape(const ModelConfig& config);

}  // namespace sluice
