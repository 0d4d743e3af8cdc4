// The order of launches, and the memory between them.
#include "model/cuda/device_model.h"

#include <algorithm>
#include <vector>

#include "kernels/cuda/place.h"
#include "kernels/cuda/sampler.h"
#include "model/rotary.h"

namespace sluice {
namespace {

constexpr uint64_t kAlign = 256;

uint64_t aligned(uint64_t bytes) {
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

}  // namespace

LinearOptions DeviceModel::linear_options(const DeviceModelLimits& limits) const {
  LinearOptions options;
  options.deterministic = limits.deterministic;
  options.rows_max = std::max(limits.rows_max, limits.logit_rows_max);
  options.gate_outputs_max = 2 * config_.intermediate;
  options.outputs_max = config_.vocab_size;
  for (const DeviceLayer& layer : weights_.layers) {
    for (const DeviceMatrix* matrix : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
      options.outputs_max = std::max(options.outputs_max, matrix->outputs);
      options.inputs_max = std::max(options.inputs_max, matrix->inputs);
      if (matrix->format != DeviceFormat::kBf16) options.has_quantised = true;
    }
  }
  return options;
}

std::vector<DeviceModel::Part> DeviceModel::parts(const DeviceModelLimits& limits) {
  const uint64_t rows = limits.rows_max;
  const uint64_t q = uint64_t{config_.heads} * config_.head_dim;
  const uint64_t qkv = q + 2 * uint64_t{config_.kv_heads} * config_.head_dim;
  const uint64_t bf16 = sizeof(uint16_t);
  const uint64_t attention =
      attention_scratch_bytes(attention_shape(), limits.decode_rows_max, limits.kv_tokens_max);
  const uint64_t rope = uint64_t{config_.context_tokens_max} * config_.head_dim * sizeof(float);
  return {
      {reinterpret_cast<void**>(&residual_), rows * config_.hidden * bf16},
      {reinterpret_cast<void**>(&delta_), rows * config_.hidden * bf16},
      {reinterpret_cast<void**>(&normed_), rows * config_.hidden * bf16},
      {reinterpret_cast<void**>(&qkv_), rows * qkv * bf16},
      {reinterpret_cast<void**>(&attended_), rows * q * bf16},
      {reinterpret_cast<void**>(&inner_), rows * config_.intermediate * bf16},
      {reinterpret_cast<void**>(&picked_), limits.logit_rows_max * config_.hidden * bf16},
      {reinterpret_cast<void**>(&logits_),
       uint64_t{limits.logit_rows_max} * config_.vocab_size * sizeof(float)},
      {reinterpret_cast<void**>(&rope_), rope},
      {&attention_scratch_.data, attention},
      {&linear_scratch_, LinearLayers::scratch_bytes(linear_options(limits))},
  };
}

uint64_t DeviceModel::memory_bytes(const DeviceModelLimits& limits) const {
  // The walk notes addresses to fill, so it is not const; counting fills none of them.
  DeviceModel counting(config_, weights_);
  uint64_t bytes = 0;
  for (const Part& part : counting.parts(limits)) bytes += aligned(part.bytes);
  return bytes;
}

Status DeviceModel::open(const DeviceModelLimits& limits,
                         const KvPools& pools,
                         DeviceStream stream) {
  pools_ = pools;
  SLUICE_RETURN_IF_ERROR(DeviceBuffer::allocate(memory_bytes(limits), &memory_));
  uint8_t* at = memory_.data();
  for (const Part& part : parts(limits)) {
    *part.pointer = at;
    at += aligned(part.bytes);
  }
  attention_scratch_.decode_rows_max = limits.decode_rows_max;
  attention_scratch_.bytes =
      attention_scratch_bytes(attention_shape(), limits.decode_rows_max, limits.kv_tokens_max);
  SLUICE_RETURN_IF_ERROR(LinearLayers::open(linear_options(limits), linear_scratch_, &linears_));
  SLUICE_RETURN_IF_ERROR(prepare_attention(attention_shape()));
  SLUICE_RETURN_IF_ERROR(prepare_sampler(config_.vocab_size));
  const std::vector<float> frequencies = rope_frequencies(config_);
  const uint64_t bytes = frequencies.size() * sizeof(float);
  DeviceBuffer on_device;
  SLUICE_RETURN_IF_ERROR(DeviceBuffer::allocate(bytes, &on_device));
  SLUICE_RETURN_IF_ERROR(copy_to_device(on_device.data(), frequencies.data(), bytes, stream));
  RopeTableArgs table;
  table.frequencies = reinterpret_cast<const float*>(on_device.data());
  table.table = rope_;
  table.half = config_.head_dim / 2;
  table.positions = config_.context_tokens_max;
  SLUICE_RETURN_IF_ERROR(fill_rope_table(table, stream));
  return wait_for(stream);
}

NormArgs DeviceModel::norm_args(const float* weight, uint32_t rows) const {
  NormArgs args;
  args.residual = residual_;
  args.delta = delta_;
  args.weight = weight;
  args.out = normed_;
  args.rows = rows;
  args.width = config_.hidden;
  args.epsilon = config_.norm_epsilon;
  return args;
}

Status DeviceModel::run_layers(const Step& step, DeviceStream stream) {
  const EmbedArgs embed{weights_.embedding, config_.vocab_size, step.last_token};
  SLUICE_RETURN_IF_ERROR(plan_attention(step.batch, attention_shape(), attention_scratch_, stream));
  SLUICE_RETURN_IF_ERROR(embed_norm(
      embed, step.batch, norm_args(weights_.layers[0].input_norm, step.batch.rows), stream));
  for (uint32_t layer = 0; layer < config_.layers; ++layer) {
    if (layer > 0) {
      SLUICE_RETURN_IF_ERROR(
          add_norm(norm_args(weights_.layers[layer].input_norm, step.batch.rows), stream));
    }
    SLUICE_RETURN_IF_ERROR(attention_layer(step, layer, stream));
    SLUICE_RETURN_IF_ERROR(mlp_layer(step, layer, stream));
  }
  return Status::ok();
}

Status DeviceModel::attention_layer(const Step& step, uint32_t layer, DeviceStream stream) {
  const DeviceLayer& weights = weights_.layers[layer];
  const uint32_t rows = step.batch.rows;
  const uint32_t q = config_.heads * config_.head_dim;
  const uint32_t qkv = q + 2 * config_.kv_heads * config_.head_dim;
  SLUICE_RETURN_IF_ERROR(linear({.matrix = &weights.qkv,
                                 .x = normed_,
                                 .x_stride = config_.hidden,
                                 .rows = rows,
                                 .out = qkv_,
                                 .out_stride = qkv},
                                stream));
  PlaceArgs placed;
  placed.qkv = qkv_;
  placed.keys = reinterpret_cast<uint16_t*>(pools_.data + 2 * layer * pools_.pool_bytes);
  placed.values = reinterpret_cast<uint16_t*>(pools_.data + (2 * layer + 1) * pools_.pool_bytes);
  placed.rope = rope_;
  placed.query_norm = weights.query_norm;
  placed.key_norm = weights.key_norm;
  placed.heads = config_.heads;
  placed.kv_heads = config_.kv_heads;
  placed.head_dim = config_.head_dim;
  placed.epsilon = config_.norm_epsilon;
  // A step of decode rows alone leaves placing to attention, with the same bits.
  const bool is_placed_there = step.prefill_tiles == 0 && attention_places(attention_shape());
  if (!is_placed_there) SLUICE_RETURN_IF_ERROR(place(placed, step.batch, stream));
  PagedAttentionArgs attention;
  attention.shape = attention_shape();
  attention.q = qkv_;
  attention.q_stride = qkv;
  attention.out = attended_;
  attention.out_stride = q;
  attention.keys = placed.keys;
  attention.values = placed.values;
  attention.prefill_tiles = step.prefill_tiles;
  attention.scratch = attention_scratch_;
  if (is_placed_there) attention.place = placed;
  SLUICE_RETURN_IF_ERROR(attend(attention, step.batch, stream));
  return linear({.matrix = &weights.output,
                 .x = attended_,
                 .x_stride = q,
                 .rows = rows,
                 .out = delta_,
                 .out_stride = config_.hidden},
                stream);
}

Status DeviceModel::mlp_layer(const Step& step, uint32_t layer, DeviceStream stream) {
  const DeviceLayer& weights = weights_.layers[layer];
  const uint32_t rows = step.batch.rows;
  SLUICE_RETURN_IF_ERROR(add_norm(norm_args(weights.mlp_norm, rows), stream));
  SLUICE_RETURN_IF_ERROR(linear({.matrix = &weights.gate_up,
                                 .x = normed_,
                                 .x_stride = config_.hidden,
                                 .rows = rows,
                                 .output = LinearOutput::kSiluMul,
                                 .out = inner_,
                                 .out_stride = config_.intermediate},
                                stream));
  return linear({.matrix = &weights.down,
                 .x = inner_,
                 .x_stride = config_.intermediate,
                 .rows = rows,
                 .out = delta_,
                 .out_stride = config_.hidden},
                stream);
}

Status DeviceModel::run_head(const int32_t* picked, uint32_t count, DeviceStream stream) {
  NormArgs args = norm_args(weights_.final_norm, count);
  args.out = picked_;
  SLUICE_RETURN_IF_ERROR(pick_norm(args, picked, stream));
  return linear({.matrix = &weights_.head,
                 .x = picked_,
                 .x_stride = config_.hidden,
                 .rows = count,
                 .output = LinearOutput::kF32,
                 .out = logits_,
                 .out_stride = config_.vocab_size},
                stream);
}

}  // namespace sluice
