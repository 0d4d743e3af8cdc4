// A checkpoint's weights to the device: planned and checked as on the CPU, read by several threads
// through pinned buffers, put in order on the device. What a reader waits for is the disk or the
// bus, whichever is slower.
#pragma once

#include <cstdint>
#include <functional>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/cuda/device_weights.h"
#include "runtime/status.h"

namespace sluice {

struct DeviceLoadArgs {
  const Checkpoint* checkpoint = nullptr;
  const ModelConfig* config = nullptr;
  uint64_t bytes_max = 0;  // of the device's memory; more is refused (kTooLarge)
  std::function<void(uint64_t done, uint64_t total)> progress;  // bytes; may be empty
};

Status load_device_weights(const DeviceLoadArgs& args, DeviceWeights* weights);

}  // namespace sluice
