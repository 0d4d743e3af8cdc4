// A model's weights in device memory: what the device's forward pass reads. All of it lies in one
// allocation, planned from the config before anything is read, so that the memory there is is held
// against the memory it takes first.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/cuda/linear.h"
#include "model/config.h"
#include "runtime/cuda/device.h"

namespace sluice {

struct DeviceLayer {
  const float* input_norm = nullptr;  // [hidden]
  DeviceMatrix qkv;                   // rows q, then k, then v
  const float* query_norm = nullptr;  // [head_dim], or null
  const float* key_norm = nullptr;    // [head_dim], or null
  DeviceMatrix output;
  const float* mlp_norm = nullptr;  // [hidden]
  DeviceMatrix gate_up;             // rows of gate and up, interleaved by 8
  DeviceMatrix down;
};

struct DeviceWeights {
  const uint16_t* embedding = nullptr;  // [vocab, hidden] bf16
  DeviceMatrix head;                    // the embedding itself where they are tied
  std::vector<DeviceLayer> layers;
  const float* final_norm = nullptr;  // [hidden]
  DeviceBuffer arena;
  DeviceBuffer widened;  // bf16 copies of quantised matrices, or empty
};

enum class LinearKind { kQkv, kOutput, kGateUp, kDown, kHead };

// How a checkpoint stores a linear.
struct LinearFormat {
  DeviceFormat format = DeviceFormat::kBf16;
  uint32_t group_inputs = 0;  // int4, as the kernels take it
};

struct DevicePlanArgs {
  const ModelConfig* config = nullptr;
  bool is_tied = false;
  // `layer` is 0 for the head.
  std::function<LinearFormat(LinearKind kind, uint32_t layer)> format_of;
};

// Bytes of the arena.
uint64_t device_arena_bytes(const DevicePlanArgs& args);

// Gives each quantised matrix a copy in bf16, which large steps multiply faster, where all of them
// together take no more than `bytes_max`; else none. The weights are loaded.
Status add_widened_copies(uint64_t bytes_max, DeviceStream stream, DeviceWeights* weights);

// Takes the arena, zeroed, and points the weights into it.
Status place_weights(const DevicePlanArgs& args, DeviceWeights* weights);

}  // namespace sluice
