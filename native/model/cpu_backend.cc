// The CPU backend: a Hugging Face folder loaded into packed weights, and steps computed on the spot
// by a pool of threads. It does not run ahead: launch() computes, collect() hands over.
#include <utility>

#include "kernels/kernels.h"
#include "model/backend.h"
#include "model/batch_rows.h"
#include "model/kv_cache.h"
#include "model/model_load.h"
#include "model/readout.h"
#include "model/transformer.h"
#include "runtime/cpu_count.h"
#include "runtime/flush_denormals.h"
#include "runtime/isa.h"

namespace sluice {
namespace {

class CpuBackend : public Backend {
 public:
  CpuBackend(LoadedModel model, std::unique_ptr<ThreadPool> pool, Isa isa)
      : model_(std::move(model)), pool_(std::move(pool)), cache_(model_.config) {
    parts_ = {&model_.config, &model_.weights, &kernels_for(isa), pool_.get(), &cache_};
    info_.device = std::string("cpu (") + isa_name(isa) + ", " + std::to_string(pool_->threads()) +
                   " threads)";
    info_.dtype = dtype_name();
    info_.vocab_size = model_.config.vocab_size;
    info_.context_tokens_max = model_.config.context_tokens_max;
    info_.kv_bytes_per_block = cache_.block_bytes();
    info_.takes_masks = true;
  }

  const BackendInfo& info() const override { return info_; }

  Status reserve(uint32_t blocks, uint32_t sequences_max, uint32_t batch_tokens_max) override {
    SLUICE_CHECK(rows_ == nullptr);
    SLUICE_RETURN_IF_ERROR(cache_.reserve(blocks));
    rows_ = std::make_unique<BatchRows>(batch_tokens_max, sequences_max, model_.config.group());
    last_sampled_.resize(sequences_max);
    transformer_ = std::make_unique<Transformer>(parts_);
    SLUICE_RETURN_IF_ERROR(transformer_->reserve(batch_tokens_max));
    readout_ = std::make_unique<Readout>(parts_);
    return readout_->reserve();
  }

  Status launch(const Batch& batch) override {
    SLUICE_CHECK(rows_ != nullptr && !is_launched_);
    const FlushDenormals flush;
    rows_->fill(batch, last_sampled_);
    transformer_->run(*rows_);
    readout_->run(batch, *rows_, transformer_->residual(), &result_);
    for (size_t i = 0; i < batch.sequences.size(); ++i) {
      const BatchSequence& sequence = batch.sequences[i];
      if (sequence.sample) last_sampled_[sequence.slot] = result_.sequences[i].sampled.id;
    }
    is_launched_ = true;
    return Status::ok();
  }

  Status collect(StepResult* result) override {
    SLUICE_CHECK(is_launched_);
    is_launched_ = false;
    std::swap(*result, result_);
    return Status::ok();
  }

  Status save_block(uint32_t block, void* host) override {
    cache_.save(block, host);
    return Status::ok();
  }

  Status load_block(uint32_t block, const void* host) override {
    cache_.load(block, host);
    return Status::ok();
  }

 private:
  std::string dtype_name() const {
    const Matrix& matrix = model_.weights.layers[0].gate_up.parts[0].matrix;
    switch (matrix.type) {
      case WeightType::kF32:
        return "float32";
      case WeightType::kBf16:
        return "bfloat16";
      case WeightType::kF16:
        return "float16";
      case WeightType::kInt4:
        return "awq int4 g" + std::to_string(matrix.group_inputs);
    }
    return "unknown";
  }

  LoadedModel model_;
  std::unique_ptr<ThreadPool> pool_;
  KvCache cache_;
  ModelParts parts_;
  BackendInfo info_;
  std::unique_ptr<BatchRows> rows_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<Readout> readout_;
  std::vector<uint32_t> last_sampled_;  // by slot
  StepResult result_;
  bool is_launched_ = false;
};

}  // namespace

Status load_cpu_backend(const LoadOptions& options, std::unique_ptr<Backend>* backend) {
  Isa isa = Isa::kScalar;
  SLUICE_RETURN_IF_ERROR(choose_isa(&isa));
  if (options.threads > kThreadsMax) {
    return {StatusCode::kInvalid,
            "threads: found " + std::to_string(options.threads) + "; supported: up to " +
                std::to_string(kThreadsMax)};
  }
  auto pool = std::make_unique<ThreadPool>(options.threads > 0 ? options.threads : usable_cores());
  LoadedModel model;
  SLUICE_RETURN_IF_ERROR(load_model(options, pool.get(), &model));
  *backend = std::make_unique<CpuBackend>(std::move(model), std::move(pool), isa);
  return Status::ok();
}

}  // namespace sluice
