// Norm, head and sampler over the wanted rows, some at a time.
#include "model/readout.h"

#include <algorithm>

#include "model/sampler_row.h"

namespace sluice {

Readout::Readout(const ModelParts& parts) : parts_(parts) {
  for (uint32_t i = 0; i < parts.pool->threads(); ++i) {
    samplers_.emplace_back(parts.config->vocab_size);
  }
}

Status Readout::reserve() {
  const size_t hidden = (parts_.config->hidden + kStripOutputs - 1) / kStripOutputs * kStripOutputs;
  const size_t vocab = parts_.weights->head.columns();
  SLUICE_RETURN_IF_ERROR(
      LargeBuffer::allocate(kLogitRows * (hidden + vocab) * sizeof(float), &memory_));
  auto* at = reinterpret_cast<float*>(memory_.data());
  normed_ = {at, hidden};
  logits_ = {at + kLogitRows * hidden, vocab};
  return Status::ok();
}

void Readout::run(const Batch& batch,
                  const BatchRows& rows,
                  RowsView residual,
                  StepResult* result) {
  result_ = result;
  result->sequences.clear();
  result->sequences.resize(batch.sequences.size());
  for (size_t i = 0; i < batch.sequences.size(); ++i) {
    result->sequences[i].prompt.resize(scored_prompt_tokens(batch.sequences[i]));
  }
  std::span<const LogitRow> wanted = rows.logit_rows();
  while (!wanted.empty()) {
    const auto some = wanted.first(std::min<size_t>(wanted.size(), kLogitRows));
    wanted = wanted.subspan(some.size());
    compute_logits(some, residual);
    const auto count = static_cast<uint32_t>(some.size());
    parts_.pool->run(count, 1, [&](WorkRange part, uint32_t worker) {
      for (uint32_t i = part.begin; i < part.end; ++i) read_row(batch, some[i], i, worker);
    });
  }
}

void Readout::compute_logits(std::span<const LogitRow> wanted, RowsView residual) {
  const ModelConfig& config = *parts_.config;
  for (uint32_t i = 0; i < wanted.size(); ++i) {
    RmsNormArgs args;
    args.x = residual.row(wanted[i].row);
    args.out = normed_.row(i);
    args.rows = 1;
    args.size = config.hidden;
    args.weight = parts_.weights->final_norm;
    args.epsilon = config.norm_epsilon;
    parts_.kernels->rmsnorm(args);
  }
  const auto rows = static_cast<uint32_t>(wanted.size());
  apply_linear(parts_, {&parts_.weights->head, normed_, rows, logits_, false});
}

void Readout::read_row(const Batch& batch,
                       const LogitRow& wanted,
                       uint32_t index,
                       uint32_t worker) {
  const BatchSequence& sequence = batch.sequences[wanted.sequence];
  SequenceResult& result = result_->sequences[wanted.sequence];
  const std::span<float> logits(logits_.row(index), parts_.config->vocab_size);
  if (wanted.prompt_index == kSampled) {
    result.sampled = samplers_[worker].sample(sampler_row(sequence, logits));
    return;
  }
  const uint32_t next = sequence.context_tokens + wanted.prompt_index + 1;
  const auto top_count = static_cast<uint32_t>(sequence.sampling->prompt_logprobs);
  result.prompt[wanted.prompt_index] = score_token(logits, sequence.history[next], top_count);
}

}  // namespace sluice
