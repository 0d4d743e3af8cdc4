// Drives a Backend without the engine, for tests of models: gives each sequence its own run of
// blocks and steps them together, cutting prompts as asked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "model/backend.h"

namespace sluice::check {

struct DrivenSequence {
  std::vector<uint32_t> ids;  // prompt, then what was drawn
  uint32_t prompt_tokens = 0;
  uint32_t computed = 0;
  uint64_t admission = 0;
  SamplingArgs sampling;
  std::vector<uint32_t> block_table;
  std::vector<SampledToken> prompt_scores;
  std::vector<SampledToken> drawn;

  uint32_t outputs() const { return static_cast<uint32_t>(ids.size()) - prompt_tokens; }
  std::vector<uint32_t> output_ids() const { return {ids.begin() + prompt_tokens, ids.end()}; }
};

struct DriverLimits {
  uint32_t blocks = 256;
  uint32_t sequences = 16;
  uint32_t batch_tokens = 512;
};

class BackendDriver {
 public:
  using Limits = DriverLimits;

  explicit BackendDriver(Backend* backend, Limits limits = {})
      : backend_(backend), limits_(limits) {
    SLUICE_CHECK(backend->reserve(limits.blocks, limits.sequences, limits.batch_tokens).is_ok());
  }

  // Blocks are handed out by a stride that is prime to their number, so no table is in order.
  DrivenSequence& add(const std::vector<uint32_t>& prompt,
                      uint32_t tokens_max,
                      const SamplingArgs& sampling) {
    DrivenSequence& sequence = sequences_.emplace_back();
    sequence.ids = prompt;
    sequence.prompt_tokens = static_cast<uint32_t>(prompt.size());
    sequence.sampling = sampling;
    sequence.admission = ++admissions_;
    const auto tokens = static_cast<uint32_t>(prompt.size()) + tokens_max;
    for (uint32_t i = 0; i < (tokens + kBlockTokens - 1) / kBlockTokens; ++i) {
      SLUICE_CHECK(blocks_used_ < limits_.blocks);
      sequence.block_table.push_back(blocks_used_++ * 37 % limits_.blocks);
    }
    return sequence;
  }

  // One step of every sequence that has drawn less than `outputs`, at most `chunk` tokens of each.
  void step(uint32_t outputs, uint32_t chunk) {
    Batch batch;
    std::vector<DrivenSequence*> members;
    uint32_t room = limits_.batch_tokens;
    for (uint32_t i = 0; i < sequences_.size(); ++i) {
      DrivenSequence& sequence = sequences_[i];
      const auto left = static_cast<uint32_t>(sequence.ids.size()) - sequence.computed;
      const uint32_t tokens = std::min({left, chunk, room});
      if (tokens == 0 || sequence.outputs() >= outputs) continue;
      room -= tokens;
      BatchSequence share;
      share.slot = i;
      share.admission = sequence.admission;
      share.tokens = sequence.ids.data() + sequence.computed;
      share.query_tokens = tokens;
      share.context_tokens = sequence.computed;
      share.block_table = sequence.block_table.data();
      share.sample = tokens == left;
      share.sampling = &sequence.sampling;
      share.position = sequence.outputs();
      share.history = sequence.ids;
      share.prompt_tokens = sequence.prompt_tokens;
      batch.sequences.push_back(share);
      members.push_back(&sequence);
    }
    StepResult result;
    require(backend_->launch(batch));
    require(backend_->collect(&result));
    for (size_t i = 0; i < members.size(); ++i) {
      DrivenSequence& sequence = *members[i];
      sequence.computed += batch.sequences[i].query_tokens;
      const auto& scores = result.sequences[i].prompt;
      sequence.prompt_scores.insert(sequence.prompt_scores.end(), scores.begin(), scores.end());
      if (!batch.sequences[i].sample) continue;
      sequence.ids.push_back(result.sequences[i].sampled.id);
      sequence.drawn.push_back(result.sequences[i].sampled);
    }
  }

  // Steps until each sequence has drawn `outputs`.
  void run(uint32_t outputs, uint32_t chunk) {
    const auto wants = [&](const DrivenSequence& s) { return s.outputs() < outputs; };
    while (std::any_of(sequences_.begin(), sequences_.end(), wants)) step(outputs, chunk);
  }

  // References stay valid while sequences_max is not passed.
  const std::vector<DrivenSequence>& sequences() const { return sequences_; }

  // Forgets all sequences; their blocks are handed out again.
  void clear() {
    sequences_.clear();
    blocks_used_ = 0;
  }

 private:
  static void require(const Status& status) {
    if (!status.is_ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
    SLUICE_CHECK(status.is_ok());
  }

  Backend* backend_;
  Limits limits_;
  std::vector<DrivenSequence> sequences_;
  uint32_t blocks_used_ = 0;
  uint64_t admissions_ = 0;
};

}  // namespace sluice::check
