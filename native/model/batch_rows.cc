// Flattens a batch, and holds it against what was reserved: a batch that breaks it is an engine's
// fault.
#include "model/batch_rows.h"

#include <algorithm>

#include "kernels/attention.h"

namespace sluice {
namespace {

// Rows of a tile share the keys they read; beyond this many, sharing gains nothing more.
constexpr uint32_t kTileRowsAim = 48;

}  // namespace

uint32_t scored_prompt_tokens(const BatchSequence& sequence) {
  if (sequence.sampling == nullptr || sequence.sampling->prompt_logprobs < 0) return 0;
  const uint32_t first = sequence.context_tokens + 1;
  if (first >= sequence.prompt_tokens) return 0;
  return std::min(sequence.query_tokens, sequence.prompt_tokens - first);
}

BatchRows::BatchRows(uint32_t rows_max, uint32_t sequences_max, uint32_t group)
    : rows_max_(rows_max), tile_tokens_(std::max(1u, kTileRowsAim / group)) {
  rows_.reserve(rows_max);
  tiles_.reserve(rows_max);
  logit_rows_.reserve(rows_max + sequences_max);
}

void BatchRows::fill(const Batch& batch, std::span<const uint32_t> last_sampled) {
  rows_.clear();
  tiles_.clear();
  logit_rows_.clear();
  attended_tokens_ = 0;
  for (uint32_t index = 0; index < batch.sequences.size(); ++index) {
    const BatchSequence& sequence = batch.sequences[index];
    const auto first_row = static_cast<uint32_t>(rows_.size());
    SLUICE_CHECK(sequence.slot < last_sampled.size());
    SLUICE_CHECK(sequence.query_tokens > 0 && first_row + sequence.query_tokens <= rows_max_);
    for (uint32_t i = 0; i < sequence.query_tokens; ++i) {
      Row row;
      row.token = sequence.tokens != nullptr ? sequence.tokens[i] : last_sampled[sequence.slot];
      row.position = sequence.context_tokens + i;
      row.block = sequence.block_table[row.position / kBlockTokens];
      rows_.push_back(row);
      attended_tokens_ += row.position + 1;
    }
    add_tiles(sequence, first_row);
    add_logit_rows(sequence, index, first_row);
  }
}

void BatchRows::add_tiles(const BatchSequence& sequence, uint32_t first_row) {
  for (uint32_t i = 0; i < sequence.query_tokens; i += tile_tokens_) {
    AttentionTile tile;
    tile.row = first_row + i;
    tile.tokens = std::min(tile_tokens_, sequence.query_tokens - i);
    tile.position = sequence.context_tokens + i;
    tile.block_table = sequence.block_table;
    tiles_.push_back(tile);
  }
}

void BatchRows::add_logit_rows(const BatchSequence& sequence, uint32_t index, uint32_t first_row) {
  const uint32_t scored = scored_prompt_tokens(sequence);
  for (uint32_t i = 0; i < scored; ++i) logit_rows_.push_back({first_row + i, index, i});
  if (!sequence.sample) return;
  logit_rows_.push_back({first_row + sequence.query_tokens - 1, index, kSampled});
}

}  // namespace sluice
