// Weights near what trained ones are: norms 1, products that neither vanish nor overflow.
#include "made_up_model.h"

#include "device_tools.h"
#include "kernels/cuda/weights.h"

namespace sluice::bench {
namespace {

// Random sign and mantissa under one exponent: bf16 values of magnitude 1/128 to 1/64.
constexpr uint32_t kBf16Keep = 0x807F807F;
constexpr uint32_t kBf16Set = 0x3C003C00;

// Float32 scales of 1/1024, random zero points in their lowest four bits.
constexpr uint32_t kScaleKeep = 0x0000000F;
constexpr uint32_t kScaleSet = 0x3A800000;

ModelConfig config_8b() {
  ModelConfig config;
  config.family = "llama";
  config.vocab_size = 128256;
  config.hidden = 4096;
  config.intermediate = 14336;
  config.layers = 32;
  config.heads = 32;
  config.kv_heads = 8;
  config.head_dim = 128;
  config.context_tokens_max = 8192;
  config.norm_epsilon = 1e-5f;
  config.rope.theta = 500000;
  return config;
}

ModelConfig config_1b() {
  ModelConfig config = config_8b();
  config.vocab_size = 32000;
  config.hidden = 2048;
  config.intermediate = 5632;
  config.layers = 22;
  config.kv_heads = 4;
  config.head_dim = 64;
  config.context_tokens_max = 4096;
  config.rope.theta = 10000;
  return config;
}

Status fill_matrix(const DeviceMatrix& matrix, DeviceStream stream) {
  void* weights = const_cast<void*>(matrix.weights);
  const uint64_t bytes = device_weight_bytes(matrix);
  if (matrix.format == DeviceFormat::kBf16) {
    return fill_words({weights, bytes, kBf16Keep, kBf16Set}, stream);
  }
  SLUICE_RETURN_IF_ERROR(fill_words({weights, bytes, ~0u, 0}, stream));
  void* scales = const_cast<void*>(matrix.scales);
  return fill_words({scales, device_scale_bytes(matrix), kScaleKeep, kScaleSet}, stream);
}

Status fill_model(CudaModel* model, DeviceStream stream) {
  DeviceWeights& weights = model->weights;
  const ModelConfig& config = model->config;
  const auto ones = [&](const float* vector) {
    return fill_floats(const_cast<float*>(vector), config.hidden, 1, stream);
  };
  DeviceMatrix table;
  table.outputs = config.vocab_size;
  table.inputs = config.hidden;
  table.weights = weights.embedding;
  SLUICE_RETURN_IF_ERROR(fill_matrix(table, stream));
  SLUICE_RETURN_IF_ERROR(fill_matrix(weights.head, stream));
  SLUICE_RETURN_IF_ERROR(ones(weights.final_norm));
  for (const DeviceLayer& layer : weights.layers) {
    SLUICE_RETURN_IF_ERROR(ones(layer.input_norm));
    SLUICE_RETURN_IF_ERROR(ones(layer.mlp_norm));
    for (const DeviceMatrix* matrix :
         {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
      SLUICE_RETURN_IF_ERROR(fill_matrix(*matrix, stream));
    }
  }
  return wait_for(stream);
}

}  // namespace

Status make_model(const std::string& shape,
                  const std::string& format,
                  std::unique_ptr<CudaModel>* model) {
  auto made = std::make_unique<CudaModel>();
  SLUICE_RETURN_IF_ERROR(open_device(&made->device));
  made->config = shape == "8b" ? config_8b() : config_1b();
  DevicePlanArgs plan;
  plan.config = &made->config;
  plan.format_of = [&](LinearKind kind, uint32_t) {
    LinearFormat stored;
    if (format == "awq" && kind != LinearKind::kHead) stored = {DeviceFormat::kInt4, 128};
    return stored;
  };
  SLUICE_RETURN_IF_ERROR(place_weights(plan, &made->weights));
  Stream stream;
  SLUICE_RETURN_IF_ERROR(Stream::open(&stream));
  SLUICE_RETURN_IF_ERROR(fill_model(made.get(), stream.get()));
  *model = std::move(made);
  return Status::ok();
}

uint64_t step_weight_bytes(const CudaModel& model) {
  const auto bytes_of = [](const DeviceMatrix& matrix) {
    const bool is_dense = matrix.format == DeviceFormat::kBf16;
    return device_weight_bytes(matrix) + (is_dense ? 0 : device_scale_bytes(matrix));
  };
  uint64_t bytes = bytes_of(model.weights.head);
  for (const DeviceLayer& layer : model.weights.layers) {
    bytes += bytes_of(layer.qkv) + bytes_of(layer.output) + bytes_of(layer.gate_up) +
             bytes_of(layer.down);
  }
  return bytes;
}

double token_flops(const ModelConfig& config) {
  const double hidden = config.hidden;
  const double q = static_cast<double>(config.heads) * config.head_dim;
  const double kv = 2.0 * config.kv_heads * config.head_dim;
  const double inner = config.intermediate;
  return 2.0 * config.layers * (hidden * (q + kv) + q * hidden + 3 * inner * hidden);
}

}  // namespace sluice::bench
