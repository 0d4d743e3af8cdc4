// One walk over the model serves both: with no arena it only counts.
#include "model/cuda/device_weights.h"

#include "kernels/cuda/dense.h"
#include "kernels/cuda/weights.h"

namespace sluice {
namespace {

constexpr uint64_t kArenaAlign = 256;

class Placer {
 public:
  Placer(const DevicePlanArgs& args, uint8_t* arena)
      : args_(args), config_(*args.config), arena_(arena) {}

  uint64_t bytes() const { return end_; }

  void place(DeviceWeights* weights) {
    const uint32_t hidden = config_.hidden;
    weights->layers.resize(config_.layers);
    const uint64_t table = uint64_t{config_.vocab_size} * hidden * sizeof(uint16_t);
    weights->embedding = reinterpret_cast<uint16_t*>(take(table));
    if (args_.is_tied) {
      weights->head = {};
      weights->head.outputs = config_.vocab_size;
      weights->head.inputs = hidden;
      weights->head.weights = weights->embedding;
    } else {
      weights->head = matrix(LinearKind::kHead, 0, {config_.vocab_size, hidden, false});
    }
    for (uint32_t i = 0; i < config_.layers; ++i) layer(i, &weights->layers[i]);
    weights->final_norm = vector(hidden);
  }

 private:
  struct Shape {
    uint32_t outputs;
    uint32_t inputs;
    bool has_bias;
  };

  uint8_t* take(uint64_t bytes) {
    const uint64_t at = end_;
    end_ += (bytes + kArenaAlign - 1) / kArenaAlign * kArenaAlign;
    return arena_ == nullptr ? nullptr : arena_ + at;
  }

  const float* vector(uint32_t size) {
    return reinterpret_cast<float*>(take(size * sizeof(float)));
  }

  DeviceMatrix matrix(LinearKind kind, uint32_t layer, const Shape& shape) {
    const LinearFormat format = args_.format_of(kind, layer);
    DeviceMatrix out;
    out.format = format.format;
    out.outputs = shape.outputs;
    out.inputs = shape.inputs;
    out.group_inputs = format.group_inputs;
    out.weights = take(device_weight_bytes(out));
    if (out.format != DeviceFormat::kBf16) out.scales = take(device_scale_bytes(out));
    if (shape.has_bias) {
      out.bias = reinterpret_cast<uint16_t*>(take(shape.outputs * sizeof(uint16_t)));
    }
    return out;
  }

  void layer(uint32_t index, DeviceLayer* out) {
    const uint32_t hidden = config_.hidden;
    const uint32_t inner = config_.intermediate;
    const uint32_t q = config_.heads * config_.head_dim;
    const uint32_t qkv = q + 2 * config_.kv_heads * config_.head_dim;
    out->input_norm = vector(hidden);
    out->mlp_norm = vector(hidden);
    if (config_.has_qk_norm) {
      out->query_norm = vector(config_.head_dim);
      out->key_norm = vector(config_.head_dim);
    }
    out->qkv = matrix(LinearKind::kQkv, index, {qkv, hidden, config_.has_qkv_bias});
    out->output = matrix(LinearKind::kOutput, index, {hidden, q, config_.has_output_bias});
    out->gate_up = matrix(LinearKind::kGateUp, index, {2 * inner, hidden, config_.has_mlp_bias});
    out->down = matrix(LinearKind::kDown, index, {hidden, inner, config_.has_mlp_bias});
  }

  const DevicePlanArgs& args_;
  const ModelConfig& config_;
  uint8_t* const arena_;
  uint64_t end_ = 0;
};

std::vector<DeviceMatrix*> quantised(DeviceWeights* weights) {
  std::vector<DeviceMatrix*> matrices{&weights->head};
  for (DeviceLayer& layer : weights->layers) {
    matrices.insert(matrices.end(), {&layer.qkv, &layer.output, &layer.gate_up, &layer.down});
  }
  std::erase_if(matrices,
                [](const DeviceMatrix* matrix) { return matrix->format == DeviceFormat::kBf16; });
  return matrices;
}

uint64_t widened_bytes(const DeviceMatrix& matrix) {
  const uint64_t bytes = uint64_t{matrix.outputs} * matrix.inputs * sizeof(uint16_t);
  return (bytes + kArenaAlign - 1) / kArenaAlign * kArenaAlign;
}

}  // namespace

Status add_widened_copies(uint64_t bytes_max, DeviceStream stream, DeviceWeights* weights) {
  const std::vector<DeviceMatrix*> matrices = quantised(weights);
  uint64_t bytes = 0;
  for (const DeviceMatrix* matrix : matrices) bytes += widened_bytes(*matrix);
  if (bytes == 0 || bytes > bytes_max) return Status::ok();
  SLUICE_RETURN_IF_ERROR(DeviceBuffer::allocate(bytes, &weights->widened));
  uint8_t* at = weights->widened.data();
  for (DeviceMatrix* matrix : matrices) {
    auto* copy = reinterpret_cast<uint16_t*>(at);
    at += widened_bytes(*matrix);
    SLUICE_RETURN_IF_ERROR(widen_weights({matrix, 0, matrix->outputs, copy}, stream));
    matrix->widened = copy;
  }
  return wait_for(stream);
}

uint64_t device_arena_bytes(const DevicePlanArgs& args) {
  DeviceWeights counted;
  Placer placer(args, nullptr);
  placer.place(&counted);
  return placer.bytes();
}

Status place_weights(const DevicePlanArgs& args, DeviceWeights* weights) {
  SLUICE_RETURN_IF_ERROR(DeviceBuffer::allocate(device_arena_bytes(args), &weights->arena));
  Placer(args, weights->arena.data()).place(weights);
  return Status::ok();
}

}  // namespace sluice
