// A device without a model. A position's KV is a hash of its token, its position and the KV of
// every position before it, all *read back through the block table*; logits are a hash of the last
// KV. So a wrong block table, a stale block or a wrong prefix hit changes what is drawn, as on a
// real model. Batches run when they are collected, through the pointers they were launched with: a
// pointer that did not stay valid shows under ASan. solo_run is the same without any engine: the
// oracle.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "engine/finish.h"
#include "engine/sequence.h"
#include "kernels/sampler.h"
#include "model/backend.h"
#include "model/sampler_row.h"

namespace sluice::fake {

inline constexpr uint32_t kVocab = 37;

inline uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t h = (a ^ (b + 0x9e3779b97f4a7c15ULL)) * 0xbf58476d1ce4e5b9ULL;
  h = (h ^ (h >> 29)) * 0x94d049bb133111ebULL;
  return h ^ (h >> 32);
}

struct Cell {
  uint64_t value = 0;
  uint32_t token = 0;
};

inline std::vector<float> logits_of(uint64_t value) {
  std::vector<float> logits(kVocab);
  for (uint32_t i = 0; i < kVocab; ++i) {
    logits[i] = static_cast<float>(mix(value, i) >> 40) / static_cast<float>(1 << 22);
  }
  return logits;
}

struct Solo {
  std::vector<uint32_t> ids;
  std::vector<float> logprobs;
  std::vector<SampledToken> prompt;
  Ending ending;
};

class FakeBackend : public Backend {
 public:
  explicit FakeBackend(bool runs_ahead, uint32_t context_tokens_max = 256) : sampler_(kVocab) {
    info_.device = "fake";
    info_.dtype = "none";
    info_.vocab_size = kVocab;
    info_.context_tokens_max = context_tokens_max;
    info_.kv_bytes_per_block = sizeof(Cell) * kBlockTokens;
    info_.runs_ahead = runs_ahead;
    info_.takes_masks = true;
  }

  const BackendInfo& info() const override { return info_; }

  Status reserve(uint32_t blocks, uint32_t sequences_max, uint32_t batch_tokens_max) override {
    cells_.assign(static_cast<size_t>(blocks) * kBlockTokens, {});
    last_token_.assign(sequences_max, UINT32_MAX);
    batch_tokens_max_ = batch_tokens_max;
    return Status::ok();
  }

  Status launch(const Batch& batch) override {
    if (fail_at_launch > 0 && --fail_at_launch == 0) return {StatusCode::kLost, "device lost"};
    uint32_t tokens = 0;
    for (const BatchSequence& sequence : batch.sequences) tokens += sequence.query_tokens;
    SLUICE_CHECK(tokens <= batch_tokens_max_ && tokens > 0);
    SLUICE_CHECK(pending_.size() + done_.size() <= (info_.runs_ahead ? 1U : 0U));
    pending_.push_back(&batch);
    tokens_computed += tokens;
    return Status::ok();
  }

  Status collect(StepResult* result) override {
    if (done_.empty()) run_pending(1);
    *result = std::move(done_.front());
    done_.pop_front();
    return Status::ok();
  }

  Status save_block(uint32_t block, void* host) override {
    run_pending(pending_.size());
    std::memcpy(host, cell(block, 0), info_.kv_bytes_per_block);
    ++blocks_saved;
    return Status::ok();
  }

  Status load_block(uint32_t block, const void* host) override {
    run_pending(pending_.size());
    std::memcpy(static_cast<void*>(cell(block, 0)), host, info_.kv_bytes_per_block);
    ++blocks_loaded;
    return Status::ok();
  }

  // Another device: what was in memory is gone.
  void poison() {
    for (Cell& each : cells_) each = {0xdead, 0xdead};
  }

  uint64_t tokens_computed = 0;
  uint64_t blocks_saved = 0;
  uint64_t blocks_loaded = 0;
  uint32_t wrong_histories = 0;  // of a batch, against what its KV says
  uint32_t fail_at_launch = 0;   // counts down; 0: never

 private:
  Cell* cell(uint32_t block, uint32_t offset) {
    SLUICE_CHECK(static_cast<size_t>(block) * kBlockTokens < cells_.size());
    return &cells_[static_cast<size_t>(block) * kBlockTokens + offset];
  }
  Cell* cell_at(const BatchSequence& sequence, uint32_t position) {
    return cell(sequence.block_table[position / kBlockTokens], position % kBlockTokens);
  }

  void run_pending(size_t count) {
    for (; count > 0; --count) {
      const Batch& batch = *pending_.front();
      StepResult result;
      for (const BatchSequence& sequence : batch.sequences) {
        result.sequences.push_back(run(sequence));
      }
      done_.push_back(std::move(result));
      pending_.pop_front();
    }
  }

  SequenceResult run(const BatchSequence& sequence) {
    SequenceResult result;
    const uint32_t end = sequence.context_tokens + sequence.query_tokens;
    std::vector<float> logits;
    for (uint32_t position = sequence.context_tokens; position < end; ++position) {
      const uint32_t query = position - sequence.context_tokens;
      const uint32_t token =
          sequence.tokens == nullptr ? last_token_[sequence.slot] : sequence.tokens[query];
      uint64_t value = mix(token, position);
      for (uint32_t i = 0; i < position; ++i) value = mix(value, cell_at(sequence, i)->value);
      *cell_at(sequence, position) = {value, token};
      logits = logits_of(value);
      if (sequence.sampling->prompt_logprobs >= 0 && position + 1 < sequence.prompt_tokens) {
        result.prompt.push_back(
            score_token(logits,
                        sequence.history[position + 1],
                        static_cast<uint32_t>(sequence.sampling->prompt_logprobs)));
      }
    }
    if (!sequence.sample) return result;
    std::vector<uint32_t> history;
    for (uint32_t i = 0; i < end; ++i) history.push_back(cell_at(sequence, i)->token);
    for (size_t i = 0; i < sequence.history.size(); ++i) {
      wrong_histories += history[i] != sequence.history[i] ? 1 : 0;
    }
    SamplerRow row = sampler_row(sequence, logits);
    row.history = history;
    result.sampled = sampler_.sample(row);
    last_token_[sequence.slot] = result.sampled.id;
    return result;
  }

  BackendInfo info_;
  Sampler sampler_;
  std::vector<Cell> cells_;
  std::vector<uint32_t> last_token_;
  uint32_t batch_tokens_max_ = 0;
  std::deque<const Batch*> pending_;
  std::deque<StepResult> done_;
};

// What a submission must give, alone and from nothing: adopted ids are where it starts, not its
// result.
inline Solo solo_run(Submission submission, const std::vector<uint32_t>& eos_ids) {
  Sampler sampler(kVocab);
  Solo solo;
  const std::vector<uint32_t> prompt = submission.prompt;
  const bool scored = submission.sampling.prompt_logprobs >= 0;
  submission.sampling.prompt_logprobs = -1;
  submission.generated.clear();
  Sequence sequence(std::move(submission), 1, eos_ids);
  std::vector<uint64_t> values;
  while (true) {
    std::vector<float> logits;
    for (uint32_t position = static_cast<uint32_t>(values.size()); position < sequence.ids.size();
         ++position) {
      uint64_t value = mix(sequence.ids[position], position);
      for (const uint64_t before : values) value = mix(value, before);
      values.push_back(value);
      logits = logits_of(value);
      if (scored && position + 1 < prompt.size()) {
        solo.prompt.push_back(score_token(logits, prompt[position + 1], 0));
      }
    }
    solo.ending = ending_of(sequence, eos_ids);
    if (solo.ending.finish != Finish::kNone) return solo;
    SamplerRow row;
    row.logits = logits;
    row.sampling = &sequence.sampling;
    row.position = sequence.generated_tokens();
    row.history = sequence.ids;
    row.prompt_tokens = sequence.prompt_tokens;
    if (row.position < sequence.source.min_tokens) row.banned = sequence.banned_early;
    const SampledToken drawn = sampler.sample(row);
    sequence.ids.push_back(drawn.id);
    solo.ids.push_back(drawn.id);
    solo.logprobs.push_back(drawn.logprob);
  }
}

}  // namespace sluice::fake
