// From a model folder to a backend on the device.
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "model/checkpoint.h"
#include "model/cuda/cuda_backend.h"
#include "model/cuda/weight_load.h"

namespace sluice {
namespace {

constexpr char kConfigName[] = "config.json";
constexpr uint32_t kHeadDimMax = 256;

// SLUICE_CUDA_GRAPHS=0: every step is launched kernel by kernel, to see them one by one.
bool has_graphs() {
  const char* wish = std::getenv("SLUICE_CUDA_GRAPHS");
  return wish == nullptr || std::string_view(wish) != "0";
}

Status check_dtype(const std::string& dtype) {
  if (dtype == "auto" || dtype == "bfloat16") return Status::ok();
  return {StatusCode::kUnsupported,
          "dtype " + dtype + ": on a device models run in bfloat16 (dtype auto or bfloat16)"};
}

Status load_config(const LoadOptions& options, ModelConfig* config) {
  std::string path;
  std::string text;
  SLUICE_RETURN_IF_ERROR(path_in_folder(options.folder, kConfigName, &path));
  SLUICE_RETURN_IF_ERROR(read_text(path, kConfigBytesMax, &text));
  const Status parsed = parse_config(text, options.context_tokens_max, config);
  if (parsed.is_ok()) return parsed;
  return {parsed.code(), path + ": " + parsed.message()};
}

}  // namespace

Status check_device_shape(const ModelConfig& config) {
  const auto refuse = [](const std::string& what) {
    return Status(StatusCode::kUnsupported, what + ", which does not run on a device");
  };
  if (config.hidden % 8 != 0) return refuse("hidden_size " + std::to_string(config.hidden));
  if (config.intermediate % 8 != 0) {
    return refuse("intermediate_size " + std::to_string(config.intermediate));
  }
  if (config.head_dim % 8 != 0 || config.head_dim > kHeadDimMax) {
    return refuse("head_dim " + std::to_string(config.head_dim));
  }
  return Status::ok();
}

Status load_cuda_backend(const LoadOptions& options, std::unique_ptr<Backend>* backend) {
  auto model = std::make_unique<CudaModel>();
  SLUICE_RETURN_IF_ERROR(open_device(&model->device));
  SLUICE_RETURN_IF_ERROR(check_dtype(options.dtype));
  SLUICE_RETURN_IF_ERROR(load_config(options, &model->config));
  SLUICE_RETURN_IF_ERROR(check_device_shape(model->config));
  model->memory_share = options.device_memory;
  model->deterministic = options.deterministic;
  model->graphs = has_graphs();
  Checkpoint checkpoint;
  SLUICE_RETURN_IF_ERROR(Checkpoint::open(options.folder, &checkpoint));
  uint64_t free = 0;
  SLUICE_RETURN_IF_ERROR(free_device_bytes(&free));
  const auto share =
      static_cast<uint64_t>(model->memory_share * static_cast<double>(model->device.memory_bytes));
  DeviceLoadArgs load;
  load.checkpoint = &checkpoint;
  load.config = &model->config;
  load.bytes_max = std::min(free, share);
  load.progress = options.progress;
  const Status loaded = load_device_weights(load, &model->weights);
  if (!loaded.is_ok()) return {loaded.code(), options.folder + ": " + loaded.message()};
  return make_cuda_backend(std::move(model), backend);
}

}  // namespace sluice
