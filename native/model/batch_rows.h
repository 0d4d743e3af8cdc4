// A batch as the layers see it: one row a token, in the batch's order, and the attention tiles over
// them. All storage is taken once; a step only refills it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/backend.h"

namespace sluice {

struct Row {
  uint32_t token = 0;
  uint32_t position = 0;  // in its sequence
  uint32_t block = 0;     // where its key and value go
};

// Neighbouring rows of one sequence, whose attention is one piece of work for each KV head.
struct AttentionTile {
  uint32_t row = 0;
  uint32_t tokens = 0;
  uint32_t position = 0;  // of the first row
  const uint32_t* block_table = nullptr;
};

// A row whose logits are needed.
struct LogitRow {
  uint32_t row = 0;
  uint32_t sequence = 0;  // index in the batch
  // The query token whose successor in the prompt is scored, or kSampled: a token is drawn.
  uint32_t prompt_index = 0;
};

inline constexpr uint32_t kSampled = 0xFFFFFFFF;

class BatchRows {
 public:
  // `group`: query heads of a KV head, which share a tile's limit on rows.
  BatchRows(uint32_t rows_max, uint32_t sequences_max, uint32_t group);

  // `last_sampled` is by slot, for sequences that give no tokens.
  void fill(const Batch& batch, std::span<const uint32_t> last_sampled);

  std::span<const Row> rows() const { return rows_; }
  std::span<const AttentionTile> tiles() const { return tiles_; }
  std::span<const LogitRow> logit_rows() const { return logit_rows_; }
  // Pairs of a token and a token it attends to: what attention costs.
  uint64_t attended_tokens() const { return attended_tokens_; }

 private:
  void add_tiles(const BatchSequence& sequence, uint32_t first_row);
  void add_logit_rows(const BatchSequence& sequence, uint32_t index, uint32_t first_row);

  uint32_t rows_max_;
  uint32_t tile_tokens_;
  uint64_t attended_tokens_ = 0;
  std::vector<Row> rows_;
  std::vector<AttentionTile> tiles_;
  std::vector<LogitRow> logit_rows_;
};

// How many tokens of the prompt this sequence's share of the batch scores.
uint32_t scored_prompt_tokens(const BatchSequence& sequence);

}  // namespace sluice
