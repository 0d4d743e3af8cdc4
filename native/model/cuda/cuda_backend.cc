// Dividing the memory, and the swap of KV blocks; steps are StepRunner's.
#include "model/cuda/cuda_backend.h"

#include <algorithm>
#include <utility>

#include "kernels/cuda/swap.h"
#include "model/cuda/device_model.h"
#include "model/cuda/step_runner.h"

namespace sluice {
namespace {

// For graphs, the driver's own needs and what the libraries take.
constexpr uint64_t kReserveBytes = 768ULL << 20;

// Rows of one pass of the head: a full batch of draws; prompts' scores go in pieces of it.
constexpr uint32_t kLogitRowsLeast = 64;

// Widened copies of quantised weights may take this part of the memory that is left: the rest is
// the KV blocks', which serve more requests.
constexpr uint64_t kWidenedPart = 4;

// What may still be used beside the weights.
Status left_bytes(const CudaModel& model, uint64_t* bytes) {
  uint64_t free = 0;
  SLUICE_RETURN_IF_ERROR(free_device_bytes(&free));
  const auto share =
      static_cast<uint64_t>(model.memory_share * static_cast<double>(model.device.memory_bytes));
  const uint64_t weights = model.weights.arena.bytes() + model.weights.widened.bytes();
  *bytes = std::min(free, share > weights ? share - weights : 0);
  return Status::ok();
}

class CudaBackend : public Backend {
 public:
  CudaBackend(std::unique_ptr<CudaModel> loaded, Stream stream)
      : loaded_(std::move(loaded)),
        config_(loaded_->config),
        stream_(std::move(stream)),
        model_(config_, loaded_->weights) {
    const DeviceInfo& device = loaded_->device;
    info_.device = "cuda (" + device.name + ", sm_" + std::to_string(device.major) +
                   std::to_string(device.minor) + ")";
    info_.dtype = dtype_name();
    info_.vocab_size = config_.vocab_size;
    info_.context_tokens_max = config_.context_tokens_max;
    info_.kv_bytes_per_block = pool_count() * part_bytes();
    info_.runs_ahead = true;
    info_.kv_on_device = true;
  }

  ~CudaBackend() override {
    // Nothing may be running over memory that is about to go.
    static_cast<void>(wait_for(stream_.get()));
    if (swap_host_ != nullptr && swap_device_ != nullptr) unpin_host(swap_host_);
  }

  const BackendInfo& info() const override { return info_; }

  Status kv_bytes_max(uint32_t sequences_max, uint32_t batch_tokens_max, uint64_t* bytes) override {
    uint64_t allowed = 0;
    SLUICE_RETURN_IF_ERROR(left_bytes(*loaded_, &allowed));
    // Attention's scratch grows with the blocks: counted for all that could be there.
    const uint64_t blocks = allowed / info_.kv_bytes_per_block;
    const uint64_t others = others_bytes(blocks, sequences_max, batch_tokens_max) + kReserveBytes;
    if (others + info_.kv_bytes_per_block > allowed) {
      return {StatusCode::kTooLarge,
              "steps of " + std::to_string(batch_tokens_max) + " tokens take " +
                  std::to_string(others >> 20) + " MiB beside the weights; " +
                  std::to_string(allowed >> 20) + " MiB of the device's memory are left"};
    }
    *bytes = allowed - others;
    return Status::ok();
  }

  Status reserve(uint32_t blocks, uint32_t sequences_max, uint32_t batch_tokens_max) override {
    SLUICE_CHECK(runner_ == nullptr);
    pool_bytes_ = blocks * part_bytes();
    SLUICE_RETURN_IF_ERROR(DeviceBuffer::allocate(pool_count() * pool_bytes_, &pools_));
    const DeviceModelLimits limits = model_limits(blocks, sequences_max, batch_tokens_max);
    SLUICE_RETURN_IF_ERROR(model_.open(limits, {pools_.data(), pool_bytes_}, stream_.get()));
    const StepRunnerLimits steps = runner_limits(sequences_max, batch_tokens_max);
    runner_ = std::make_unique<StepRunner>(&model_, config_.vocab_size, steps);
    uint64_t before = 0;
    SLUICE_RETURN_IF_ERROR(free_device_bytes(&before));
    SLUICE_RETURN_IF_ERROR(runner_->open(stream_.get()));
    uint64_t after = 0;
    SLUICE_RETURN_IF_ERROR(free_device_bytes(&after));
    const uint64_t steps_bytes = runner_->memory_bytes();
    const uint64_t used = before > after ? before - after : 0;
    info_.memory = {{"weights", loaded_->weights.arena.bytes()},
                    {"bf16 copies of quantised weights", loaded_->weights.widened.bytes()},
                    {"activations", model_.memory_bytes(limits)},
                    {"steps", steps_bytes},
                    {"graphs", used > steps_bytes ? used - steps_bytes : 0},
                    {"KV blocks", pools_.bytes()},
                    {"free", after}};
    return Status::ok();
  }

  Status launch(const Batch& batch) override { return runner_->launch(batch); }

  Status collect(StepResult* result) override { return runner_->collect(result); }

  void pin(void* host, uint64_t bytes) override {
    if (host == nullptr) {
      static_cast<void>(wait_for(stream_.get()));
      if (swap_device_ != nullptr) unpin_host(swap_host_);
    }
    swap_host_ = static_cast<uint8_t*>(host);
    void* device = nullptr;
    // Where the system pins no more, copies take a detour.
    if (host != nullptr && !pin_host(host, bytes, &device).is_ok()) device = nullptr;
    swap_device_ = static_cast<uint8_t*>(device);
  }

  Status save_block(uint32_t block, void* host) override {
    if (swap_device_ != nullptr) return save_kv_block(swap_args(block, host), stream_.get());
    for (uint32_t pool = 0; pool < pool_count(); ++pool) {
      SLUICE_RETURN_IF_ERROR(copy_to_host(static_cast<uint8_t*>(host) + pool * part_bytes(),
                                          part_of(pool, block),
                                          part_bytes(),
                                          stream_.get()));
    }
    return wait_for(stream_.get());
  }

  Status load_block(uint32_t block, const void* host) override {
    if (swap_device_ != nullptr) return load_kv_block(swap_args(block, host), stream_.get());
    for (uint32_t pool = 0; pool < pool_count(); ++pool) {
      SLUICE_RETURN_IF_ERROR(copy_to_device(part_of(pool, block),
                                            static_cast<const uint8_t*>(host) + pool * part_bytes(),
                                            part_bytes(),
                                            stream_.get()));
    }
    return wait_for(stream_.get());
  }

 private:
  uint32_t pool_count() const { return 2 * config_.layers; }
  uint64_t part_bytes() const {
    return uint64_t{config_.kv_heads} * kBlockTokens * config_.head_dim * sizeof(uint16_t);
  }
  uint8_t* part_of(uint32_t pool, uint32_t block) const {
    return pools_.data() + pool * pool_bytes_ + block * part_bytes();
  }

  SwapArgs swap_args(uint32_t block, const void* host) const {
    SwapArgs args;
    args.pools = pools_.data();
    args.pool_count = pool_count();
    args.pool_bytes = pool_bytes_;
    args.part_bytes = part_bytes();
    args.block = block;
    args.host = swap_device_ + (static_cast<const uint8_t*>(host) - swap_host_);
    return args;
  }

  DeviceModelLimits model_limits(uint64_t blocks,
                                 uint32_t sequences_max,
                                 uint32_t batch_tokens_max) const {
    const StepRunnerLimits steps = runner_limits(sequences_max, batch_tokens_max);
    const uint64_t contexts = uint64_t{sequences_max} * config_.context_tokens_max;
    DeviceModelLimits limits;
    limits.rows_max = steps.rows_max;
    limits.decode_rows_max = decode_bucket(sequences_max);
    limits.logit_rows_max = steps.logit_rows_max;
    limits.sequences_max = sequences_max;
    limits.kv_tokens_max = std::min(blocks * kBlockTokens, contexts);
    limits.deterministic = loaded_->deterministic;
    return limits;
  }

  StepRunnerLimits runner_limits(uint32_t sequences_max, uint32_t batch_tokens_max) const {
    StepRunnerLimits limits;
    const uint32_t bucket = decode_bucket(sequences_max);
    limits.rows_max = std::max(batch_tokens_max, bucket);
    limits.sequences_max = sequences_max;
    limits.blocks_per_sequence_max = (config_.context_tokens_max + kBlockTokens - 1) / kBlockTokens;
    limits.logit_rows_max = std::max(kLogitRowsLeast, bucket);
    limits.graphs = loaded_->graphs;
    limits.on_step = loaded_->on_step;
    return limits;
  }

  uint64_t others_bytes(uint64_t blocks, uint32_t sequences_max, uint32_t batch_tokens_max) {
    const StepRunner runner(
        &model_, config_.vocab_size, runner_limits(sequences_max, batch_tokens_max));
    return model_.memory_bytes(model_limits(blocks, sequences_max, batch_tokens_max)) +
           runner.memory_bytes();
  }

  std::string dtype_name() const {
    const DeviceMatrix& matrix = loaded_->weights.layers[0].gate_up;
    switch (matrix.format) {
      case DeviceFormat::kBf16:
        return "bfloat16";
      case DeviceFormat::kInt4:
        return "int4 g" + std::to_string(matrix.group_inputs);
      case DeviceFormat::kInt8:
        return "int8";
    }
    return "unknown";
  }

  const std::unique_ptr<CudaModel> loaded_;
  const ModelConfig& config_;
  Stream stream_;
  DeviceModel model_;
  BackendInfo info_;
  DeviceBuffer pools_;
  uint64_t pool_bytes_ = 0;
  std::unique_ptr<StepRunner> runner_;
  uint8_t* swap_host_ = nullptr;
  uint8_t* swap_device_ = nullptr;  // null: not pinned
};

}  // namespace

Status make_cuda_backend(std::unique_ptr<CudaModel> model, std::unique_ptr<Backend>* backend) {
  Stream stream;
  SLUICE_RETURN_IF_ERROR(Stream::open(&stream));
  // In deterministic mode every number of rows reads the weights as they are.
  if (!model->deterministic) {
    uint64_t left = 0;
    SLUICE_RETURN_IF_ERROR(left_bytes(*model, &left));
    SLUICE_RETURN_IF_ERROR(add_widened_copies(left / kWidenedPart, stream.get(), &model->weights));
  }
  *backend = std::make_unique<CudaBackend>(std::move(model), std::move(stream));
  return Status::ok();
}

}  // namespace sluice
