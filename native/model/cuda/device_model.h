// The decoder's layers on the device, over the rows of one step: seven launches a layer, from token
// ids to the rows of logits that are wanted. It allocates nothing and waits for nothing, so a step
// may be captured.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/step.h"
#include "model/config.h"
#include "model/cuda/device_weights.h"
#include "runtime/cuda/device.h"

namespace sluice {

struct DeviceModelLimits {
  uint32_t rows_max = 0;
  uint32_t decode_rows_max = 0;
  uint32_t logit_rows_max = 0;  // of one pass of the head
  uint32_t sequences_max = 0;
  uint64_t kv_tokens_max = 0;
  bool deterministic = false;
};

// The pools of all layers, keys and values, are one piece: [layers][keys | values][blocks][part].
struct KvPools {
  uint8_t* data = nullptr;
  uint64_t pool_bytes = 0;
};

class DeviceModel {
 public:
  DeviceModel(const ModelConfig& config, const DeviceWeights& weights)
      : config_(config), weights_(weights) {}

  // Of activations and scratch, without the KV.
  uint64_t memory_bytes(const DeviceModelLimits& limits) const;
  // Takes that memory and prepares the kernels.
  Status open(const DeviceModelLimits& limits, const KvPools& pools, DeviceStream stream);

  // `last_token` by slot. Prefill tiles as attention.h counts them.
  struct Step {
    StepBatch batch;
    uint32_t prefill_tiles = 0;
    const int32_t* last_token = nullptr;
  };
  Status run_layers(const Step& step, DeviceStream stream);

  // logits()[i] = of row picked[i] of the step that ran, for i < count <= logit_rows_max.
  Status run_head(const int32_t* picked, uint32_t count, DeviceStream stream);
  float* logits() const { return logits_; }

  PagedAttentionShape attention_shape() const {
    return {config_.heads, config_.kv_heads, config_.head_dim};
  }
  // "cuBLASLt ...", or why there is none.
  const char* blas() const { return linears_->blas(); }

 private:
  struct Part {
    void** pointer;
    uint64_t bytes;
  };
  std::vector<Part> parts(const DeviceModelLimits& limits);
  LinearOptions linear_options(const DeviceModelLimits& limits) const;
  Status attention_layer(const Step& step, uint32_t layer, DeviceStream stream);
  Status mlp_layer(const Step& step, uint32_t layer, DeviceStream stream);
  Status linear(const LinearArgs& args, DeviceStream stream) { return linears_->run(args, stream); }
  NormArgs norm_args(const float* weight, uint32_t rows) const;

  const ModelConfig& config_;
  const DeviceWeights& weights_;
  KvPools pools_;
  DeviceBuffer memory_;
  std::unique_ptr<LinearLayers> linears_;
  AttentionScratch attention_scratch_;
  void* linear_scratch_ = nullptr;
  float* rope_ = nullptr;         // [context_tokens_max, head_dim / 2, 2]
  uint16_t* residual_ = nullptr;  // [rows, hidden]
  uint16_t* delta_ = nullptr;     // [rows, hidden]: what the last linear adds to it
  uint16_t* normed_ = nullptr;    // [rows, hidden]
  uint16_t* qkv_ = nullptr;       // [rows, q | k | v]
  uint16_t* attended_ = nullptr;  // [rows, heads * head_dim]
  uint16_t* inner_ = nullptr;     // [rows, intermediate]
  uint16_t* picked_ = nullptr;    // [logit_rows, hidden]
  float* logits_ = nullptr;       // [logit_rows, vocab]
};

}  // namespace sluice
