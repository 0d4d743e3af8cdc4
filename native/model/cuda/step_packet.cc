// Decode shares first, then the others, each in the batch's order.
#include "model/cuda/step_packet.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace sluice {
namespace {

constexpr uint64_t kAlign = 16;
constexpr uint64_t kHeaderBytes = 16;

uint64_t place(uint64_t* end, uint64_t count, uint64_t bytes_each) {
  const uint64_t at = *end;
  *end += (count * bytes_each + kAlign - 1) / kAlign * kAlign;
  return at;
}

// Writes the values, then `padding` up to `count`.
template <typename T>
void write_padded(const std::vector<T>& values, uint32_t count, const T& padding, uint8_t* out) {
  SLUICE_CHECK(values.size() <= count);
  if (!values.empty()) std::memcpy(out, values.data(), values.size() * sizeof(T));
  for (size_t i = values.size(); i < count; ++i) {
    std::memcpy(out + i * sizeof(T), &padding, sizeof(T));
  }
}

bool is_decode(const BatchSequence& sequence) {
  return sequence.query_tokens == 1;
}

uint32_t scored_tokens(const BatchSequence& sequence) {
  if (sequence.sampling == nullptr || sequence.sampling->prompt_logprobs < 0) return 0;
  const uint32_t first = sequence.context_tokens + 1;
  if (first >= sequence.prompt_tokens) return 0;
  return std::min(sequence.query_tokens, sequence.prompt_tokens - first);
}

}  // namespace

bool has_penalties(const SamplingArgs& sampling) {
  return sampling.presence_penalty != 0 || sampling.frequency_penalty != 0 ||
         sampling.repetition_penalty != 1;
}

PacketLayout::PacketLayout(const PacketShape& shape) {
  uint64_t end = kHeaderBytes;
  row_token = place(&end, shape.rows, sizeof(int32_t));
  row_position = place(&end, shape.rows, sizeof(int32_t));
  row_slot = place(&end, shape.rows, sizeof(int32_t));
  seq_query_start = place(&end, shape.sequences + uint64_t{1}, sizeof(int32_t));
  seq_context = place(&end, shape.sequences, sizeof(int32_t));
  seq_slot = place(&end, shape.sequences, sizeof(int32_t));
  picked = place(&end, shape.logit_rows, sizeof(int32_t));
  sampling = place(&end, shape.logit_rows, sizeof(SampleRow));
  changes = place(&end, shape.changes, sizeof(TableChange));
  biases = end;
}

StepPacket::StepPacket(const Limits& limits) : limits_(limits), known_(limits.sequences_max) {}

void StepPacket::fill(const Batch& batch) {
  for (std::vector<int32_t>* values : {&row_token_,
                                       &row_position_,
                                       &row_slot_,
                                       &seq_query_start_,
                                       &seq_context_,
                                       &seq_slot_,
                                       &picked_}) {
    values->clear();
  }
  sampling_.clear();
  wanted_.clear();
  biases_.clear();
  changes_.clear();
  prefill_tokens_.clear();
  wants_top_ = false;
  for (const bool decode : {true, false}) {
    for (uint32_t i = 0; i < batch.sequences.size(); ++i) {
      if (is_decode(batch.sequences[i]) == decode) add_sequence(batch.sequences[i], i);
    }
    if (decode) decode_sequences_ = sequences();
  }
}

void StepPacket::add_sequence(const BatchSequence& sequence, uint32_t index) {
  SLUICE_CHECK(sequence.slot < limits_.sequences_max && sequence.query_tokens > 0);
  const uint32_t first_row = rows();
  SLUICE_CHECK(first_row + sequence.query_tokens <= limits_.rows_max);
  const auto slot = static_cast<int32_t>(sequence.slot);
  for (uint32_t i = 0; i < sequence.query_tokens; ++i) {
    row_token_.push_back(sequence.tokens == nullptr ? -1
                                                    : static_cast<int32_t>(sequence.tokens[i]));
    row_position_.push_back(static_cast<int32_t>(sequence.context_tokens + i));
    row_slot_.push_back(slot);
  }
  seq_query_start_.push_back(static_cast<int32_t>(first_row));
  seq_context_.push_back(static_cast<int32_t>(sequence.context_tokens));
  seq_slot_.push_back(slot);
  if (!is_decode(sequence)) prefill_tokens_.push_back(sequence.query_tokens);
  add_changes(sequence);
  add_wanted(sequence, index, first_row);
}

void StepPacket::add_changes(const BatchSequence& sequence) {
  KnownTable& known = known_[sequence.slot];
  if (known.admission != sequence.admission) known = {sequence.admission, 0};
  const uint32_t tokens = sequence.context_tokens + sequence.query_tokens;
  const uint32_t entries = (tokens + kBlockTokens - 1) / kBlockTokens;
  SLUICE_CHECK(entries <= limits_.blocks_per_sequence_max);
  const uint32_t row = sequence.slot * limits_.blocks_per_sequence_max;
  for (; known.entries < entries; ++known.entries) {
    changes_.push_back(
        {row + known.entries, static_cast<int32_t>(sequence.block_table[known.entries])});
  }
}

void StepPacket::add_wanted(const BatchSequence& sequence, uint32_t index, uint32_t first_row) {
  const uint32_t scored = scored_tokens(sequence);
  for (uint32_t i = 0; i < scored; ++i) {
    SampleRow row;
    row.slot = static_cast<int32_t>(sequence.slot);
    row.score_id = static_cast<int32_t>(sequence.history[sequence.context_tokens + i + 1]);
    row.logprobs = sequence.sampling->prompt_logprobs;
    wants_top_ = true;
    picked_.push_back(static_cast<int32_t>(first_row + i));
    sampling_.push_back(row);
    wanted_.push_back({index, static_cast<int32_t>(i)});
  }
  if (!sequence.sample) return;
  picked_.push_back(static_cast<int32_t>(first_row + sequence.query_tokens - 1));
  sampling_.push_back(sample_row(sequence));
  wanted_.push_back({index, -1});
}

SampleRow StepPacket::sample_row(const BatchSequence& sequence) {
  const SamplingArgs& sampling = *sequence.sampling;
  SampleRow row;
  row.slot = static_cast<int32_t>(sequence.slot);
  row.temperature = sampling.temperature;
  row.top_k = sampling.top_k;
  row.top_p = sampling.top_p;
  row.choice = sampling.choice;
  row.min_p_log = sampling.min_p > 0 ? std::log(std::min(1.0, static_cast<double>(sampling.min_p)))
                                     : -std::numeric_limits<double>::infinity();
  row.seed = sampling.seed;
  row.position = sequence.position;
  row.presence_penalty = sampling.presence_penalty;
  row.frequency_penalty = sampling.frequency_penalty;
  row.repetition_penalty = sampling.repetition_penalty;
  row.has_penalties = has_penalties(sampling) ? 1 : 0;
  row.logprobs = std::min(sampling.logprobs, static_cast<int32_t>(kTopScoresMax));
  wants_top_ = wants_top_ || sampling.logprobs >= 0;
  row.bias_begin = static_cast<uint32_t>(biases_.size());
  row.bias_count = static_cast<uint32_t>(sampling.biases.size());
  row.ban_count = static_cast<uint32_t>(sequence.banned.size());
  for (const LogitBias& bias : sampling.biases) {
    biases_.push_back({static_cast<int32_t>(bias.token), bias.bias});
  }
  for (const uint32_t banned : sequence.banned) {
    biases_.push_back({static_cast<int32_t>(banned), -std::numeric_limits<float>::infinity()});
  }
  return row;
}

uint64_t StepPacket::packed_bytes(const PacketShape& shape) const {
  return PacketLayout(shape).biases + biases_.size() * sizeof(TokenBias);
}

void StepPacket::pack(const PacketShape& shape, size_t first_change, uint8_t* out) const {
  const PacketLayout layout(shape);
  const auto change_count = static_cast<uint32_t>(changes_.size() - first_change);
  SLUICE_CHECK(change_count <= shape.changes);
  std::memset(out, 0, kHeaderBytes);
  std::memcpy(out + layout.change_count, &change_count, sizeof(change_count));
  write_padded<int32_t>(row_token_, shape.rows, 0, out + layout.row_token);
  write_padded<int32_t>(row_position_, shape.rows, 0, out + layout.row_position);
  write_padded<int32_t>(row_slot_, shape.rows, -1, out + layout.row_slot);
  // A padded sequence of a decode step has its one padded row; others have none.
  const bool pads_rows = shape.sequences > sequences();
  for (uint32_t i = 0; i <= shape.sequences; ++i) {
    int32_t start = static_cast<int32_t>(rows());
    if (i < sequences()) {
      start = seq_query_start_[i];
    } else if (pads_rows) {
      start += static_cast<int32_t>(i - sequences());
    }
    std::memcpy(out + layout.seq_query_start + i * sizeof(start), &start, sizeof(start));
  }
  write_padded<int32_t>(seq_context_, shape.sequences, 0, out + layout.seq_context);
  write_padded<int32_t>(seq_slot_, shape.sequences, -1, out + layout.seq_slot);
  write_padded<int32_t>(picked_, shape.logit_rows, -1, out + layout.picked);
  write_padded(sampling_, shape.logit_rows, SampleRow{}, out + layout.sampling);
  if (change_count > 0) {
    std::memcpy(
        out + layout.changes, changes_.data() + first_change, change_count * sizeof(TableChange));
  }
  if (!biases_.empty()) {
    std::memcpy(out + layout.biases, biases_.data(), biases_.size() * sizeof(TokenBias));
  }
}

}  // namespace sluice
