// Out: histories of new slots, the packet, the step. Back: what was drawn, in the batch's order.
#include "model/cuda/step_runner.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/cuda/sampler.h"
#include "kernels/cuda/tables.h"

namespace sluice {
namespace {

constexpr uint64_t kAlign = 256;

// Table changes that one packet brings; more are made in pieces of this before it.
constexpr uint32_t kChangesMax = 16384;

// A graph's packet has room for so many changes a sequence; a decode step needs one each 16 tokens.
constexpr uint32_t kGraphChanges = 2;

// Biases and bans of one step: the API's 300 biases for every sequence of a full batch.
constexpr uint32_t kBiasesPerSequence = 320;

uint64_t aligned(uint64_t bytes) {
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

PacketShape graph_shape(uint32_t bucket) {
  return {bucket, bucket, bucket, kGraphChanges * bucket};
}

}  // namespace

uint32_t decode_bucket(uint32_t sequences) {
  constexpr uint32_t kFine = 256;
  if (sequences <= 2) return sequences;
  if (sequences <= 4) return 4;
  if (sequences <= kFine) return sequences <= 8 ? 8 : (sequences + 7) / 8 * 8;
  return (sequences + 31) / 32 * 32;
}

StepRunner::StepRunner(DeviceModel* model, uint32_t vocab_size, const StepRunnerLimits& limits)
    : model_(model),
      vocab_size_(vocab_size),
      limits_(limits),
      packet_({limits.rows_max, limits.sequences_max, limits.blocks_per_sequence_max}),
      renewed_(limits.sequences_max) {}

StepRunner::ResultLayout StepRunner::result_layout(uint32_t logit_rows, bool has_top) {
  const uint64_t top = uint64_t{logit_rows} * sizeof(SampledRow);
  const uint64_t top_bytes = uint64_t{logit_rows} * kTopScoresMax * sizeof(ScoredId);
  return {top, top + (has_top ? top_bytes : 0)};
}

uint32_t StepRunner::result_rows_max() const {
  return limits_.rows_max + decode_bucket(limits_.sequences_max);
}

uint64_t StepRunner::packet_bytes_max() const {
  const uint32_t bucket = decode_bucket(limits_.sequences_max);
  const PacketShape largest{
      std::max(limits_.rows_max, bucket), bucket, result_rows_max(), kChangesMax};
  const uint64_t biases = uint64_t{limits_.sequences_max} * kBiasesPerSequence;
  return PacketLayout(largest).biases + biases * sizeof(TokenBias);
}

uint64_t StepRunner::memory_bytes() const {
  const uint64_t table = uint64_t{limits_.sequences_max} * limits_.blocks_per_sequence_max;
  const uint64_t history = uint64_t{limits_.blocks_per_sequence_max} * kBlockTokens + 1;
  return aligned(packet_bytes_max()) + aligned(result_layout(result_rows_max(), true).end) +
         aligned(sizeof(SlotHistory) + history * sizeof(uint32_t)) +
         aligned(table * sizeof(int32_t)) + aligned(limits_.sequences_max * sizeof(int32_t)) +
         aligned(sampler_cells_bytes(limits_.sequences_max, vocab_size_));
}

Status StepRunner::open(DeviceStream stream) {
  stream_ = stream;
  SLUICE_RETURN_IF_ERROR(DeviceBuffer::allocate(memory_bytes(), &memory_));
  uint8_t* at = memory_.data();
  const auto take = [&](uint64_t bytes) { return std::exchange(at, at + aligned(bytes)); };
  const uint64_t results = result_layout(result_rows_max(), true).end;
  const uint64_t table = uint64_t{limits_.sequences_max} * limits_.blocks_per_sequence_max;
  const uint64_t history = uint64_t{limits_.blocks_per_sequence_max} * kBlockTokens + 1;
  const uint64_t history_bytes = sizeof(SlotHistory) + history * sizeof(uint32_t);
  device_packet_ = take(packet_bytes_max());
  device_results_ = take(results);
  history_ = take(history_bytes);
  tables_ = reinterpret_cast<int32_t*>(take(table * sizeof(int32_t)));
  last_token_ = reinterpret_cast<int32_t*>(take(limits_.sequences_max * sizeof(int32_t)));
  cells_ = reinterpret_cast<uint16_t*>(at);
  for (Flight& flight : flights_) {
    SLUICE_RETURN_IF_ERROR(PinnedBuffer::allocate(packet_bytes_max(), &flight.packet));
    SLUICE_RETURN_IF_ERROR(PinnedBuffer::allocate(results, &flight.results));
    const bool timed = limits_.on_step != nullptr;
    SLUICE_RETURN_IF_ERROR(DeviceEvent::open(timed, &flight.begun));
    SLUICE_RETURN_IF_ERROR(DeviceEvent::open(timed, &flight.done));
  }
  SLUICE_RETURN_IF_ERROR(PinnedBuffer::allocate(history_bytes, &history_host_));
  const uint64_t changes = PacketLayout({0, 0, 0, kChangesMax}).biases;
  SLUICE_RETURN_IF_ERROR(PinnedBuffer::allocate(changes, &changes_host_));
  return capture_graphs();
}

Status StepRunner::launch(const Batch& batch) {
  SLUICE_CHECK(launched_ - collected_ < kStepsInFlight);
  Flight& flight = flights_[launched_ % kStepsInFlight];
  packet_.fill(batch);
  SLUICE_RETURN_IF_ERROR(renew_histories(batch));
  size_t changed = 0;
  SLUICE_RETURN_IF_ERROR(change_many(&changed));
  bool has_graph = false;
  PacketShape shape = shape_of(&has_graph);
  if (!has_graph) shape.changes = static_cast<uint32_t>(packet_.changes().size() - changed);
  const uint64_t bytes = packet_.packed_bytes(shape);
  if (bytes > flight.packet.bytes()) {
    return {StatusCode::kTooLarge, "a step's biases take more than the packet holds"};
  }
  packet_.pack(shape, changed, flight.packet.data());
  if (limits_.on_step) SLUICE_RETURN_IF_ERROR(flight.begun.record(stream_));
  SLUICE_RETURN_IF_ERROR(copy_to_device(device_packet_, flight.packet.data(), bytes, stream_));
  prefill_tiles_ = 0;
  for (const uint32_t tokens : packet_.prefill_tokens()) {
    prefill_tiles_ += prefill_tiles(tokens, model_->attention_shape());
  }
  if (has_graph) {
    SLUICE_RETURN_IF_ERROR(graphs_.at(shape.rows).launch(stream_));
  } else {
    SLUICE_RETURN_IF_ERROR(run(shape, packet_.decode_sequences()));
  }
  flight.wanted.assign(packet_.wanted().begin(), packet_.wanted().end());
  flight.prompt_scores.assign(batch.sequences.size(), 0);
  for (const WantedRow& row : flight.wanted) {
    if (row.prompt_index >= 0) ++flight.prompt_scores[row.sequence];
  }
  flight.padded_rows = shape.logit_rows;
  flight.has_top = packet_.wants_top();
  const uint64_t result_bytes = result_layout(shape.logit_rows, flight.has_top).end;
  if (result_bytes > 0) {
    SLUICE_RETURN_IF_ERROR(
        copy_to_host(flight.results.data(), device_results_, result_bytes, stream_));
  }
  SLUICE_RETURN_IF_ERROR(flight.done.record(stream_));
  ++launched_;
  return Status::ok();
}

Status StepRunner::collect(StepResult* result) {
  SLUICE_CHECK(collected_ < launched_);
  Flight& flight = flights_[collected_ % kStepsInFlight];
  ++collected_;
  SLUICE_RETURN_IF_ERROR(flight.done.wait());
  if (limits_.on_step) {
    float milliseconds = 0;
    SLUICE_RETURN_IF_ERROR(flight.done.milliseconds_since(flight.begun, &milliseconds));
    limits_.on_step(milliseconds);
  }
  result->sequences.clear();
  result->sequences.resize(flight.prompt_scores.size());
  for (size_t i = 0; i < flight.prompt_scores.size(); ++i) {
    result->sequences[i].prompt.resize(flight.prompt_scores[i]);
  }
  const auto* sampled = reinterpret_cast<const SampledRow*>(flight.results.data());
  const uint64_t top_at = result_layout(flight.padded_rows, true).top;
  const auto* top = reinterpret_cast<const ScoredId*>(flight.results.data() + top_at);
  for (size_t i = 0; i < flight.wanted.size(); ++i) {
    const WantedRow& row = flight.wanted[i];
    SequenceResult& sequence = result->sequences[row.sequence];
    SampledToken& token = row.prompt_index < 0
                              ? sequence.sampled
                              : sequence.prompt[static_cast<size_t>(row.prompt_index)];
    token.id = static_cast<uint32_t>(sampled[i].id);
    token.logprob = sampled[i].logprob;
    if (!flight.has_top) continue;
    for (uint32_t t = 0; t < sampled[i].top_count; ++t) {
      const ScoredId& scored = top[i * kTopScoresMax + t];
      token.top.push_back({static_cast<uint32_t>(scored.id), scored.logprob});
    }
  }
  return Status::ok();
}

// The shape of the step's packet: its graph's, where one fits, else its own.
PacketShape StepRunner::shape_of(bool* has_graph) const {
  const uint32_t bucket = decode_bucket(packet_.sequences());
  const auto wanted = static_cast<uint32_t>(packet_.wanted().size());
  *has_graph = packet_.prefill_tokens().empty() && wanted <= bucket &&
               packet_.changes().size() <= kGraphChanges * bucket && graphs_.contains(bucket);
  if (*has_graph) return graph_shape(bucket);
  return {packet_.rows(), packet_.sequences(), wanted, 0};
}

// A slot's cells are made anew at the first draw of whoever holds it. Few requests have penalties,
// so this waits for the one before it rather than keep room for many.
Status StepRunner::renew_histories(const Batch& batch) {
  for (const BatchSequence& sequence : batch.sequences) {
    if (!sequence.sample || !has_penalties(*sequence.sampling)) continue;
    if (renewed_[sequence.slot] == sequence.admission) continue;
    renewed_[sequence.slot] = sequence.admission;
    SLUICE_RETURN_IF_ERROR(wait_for(stream_));
    const auto count = static_cast<uint32_t>(sequence.history.size());
    const SlotHistory history{
        static_cast<int32_t>(sequence.slot), 0, count, sequence.prompt_tokens};
    const uint64_t ids_bytes = count * sizeof(uint32_t);
    SLUICE_CHECK(sizeof(history) + ids_bytes <= history_host_.bytes());
    std::memcpy(history_host_.data(), &history, sizeof(history));
    std::memcpy(history_host_.data() + sizeof(history), sequence.history.data(), ids_bytes);
    SLUICE_RETURN_IF_ERROR(
        copy_to_device(history_, history_host_.data(), sizeof(history) + ids_bytes, stream_));
    RenewArgs args;
    args.cells = cells_;
    args.vocab_size = vocab_size_;
    args.histories = reinterpret_cast<const SlotHistory*>(history_);
    args.count = 1;
    args.ids = reinterpret_cast<const uint32_t*>(history_ + sizeof(history));
    SLUICE_RETURN_IF_ERROR(renew_slots(args, stream_));
  }
  return Status::ok();
}

// Makes all changes but the last kChangesMax at once: long contexts that come back from the host.
Status StepRunner::change_many(size_t* changed) {
  const std::span<const TableChange> changes = packet_.changes();
  while (changes.size() - *changed > kChangesMax) {
    SLUICE_RETURN_IF_ERROR(wait_for(stream_));
    const PacketLayout layout({0, 0, 0, kChangesMax});
    uint8_t* out = changes_host_.data();
    const uint32_t count = kChangesMax;
    std::memcpy(out + layout.change_count, &count, sizeof(count));
    std::memcpy(out + layout.changes, changes.data() + *changed, kChangesMax * sizeof(TableChange));
    SLUICE_RETURN_IF_ERROR(copy_to_device(device_packet_, out, layout.biases, stream_));
    SLUICE_RETURN_IF_ERROR(
        change_tables({tables_,
                       reinterpret_cast<const uint32_t*>(device_packet_ + layout.change_count),
                       reinterpret_cast<const TableChange*>(device_packet_ + layout.changes),
                       kChangesMax},
                      stream_));
    *changed += kChangesMax;
  }
  return Status::ok();
}

Status StepRunner::run(const PacketShape& shape, uint32_t decode_sequences) {
  const PacketLayout layout(shape);
  const auto ints = [&](uint64_t at) {
    return reinterpret_cast<const int32_t*>(device_packet_ + at);
  };
  SLUICE_RETURN_IF_ERROR(
      change_tables({tables_,
                     reinterpret_cast<const uint32_t*>(device_packet_ + layout.change_count),
                     reinterpret_cast<const TableChange*>(device_packet_ + layout.changes),
                     shape.changes},
                    stream_));
  DeviceModel::Step step;
  step.batch.rows = shape.rows;
  step.batch.sequences = shape.sequences;
  step.batch.decode_sequences = decode_sequences;
  step.batch.row_token = ints(layout.row_token);
  step.batch.row_position = ints(layout.row_position);
  step.batch.row_slot = ints(layout.row_slot);
  step.batch.seq_query_start = ints(layout.seq_query_start);
  step.batch.seq_context = ints(layout.seq_context);
  step.batch.seq_slot = ints(layout.seq_slot);
  step.batch.block_tables = tables_;
  step.batch.blocks_per_sequence_max = limits_.blocks_per_sequence_max;
  step.prefill_tiles = prefill_tiles_;
  step.last_token = last_token_;
  SLUICE_RETURN_IF_ERROR(model_->run_layers(step, stream_));
  return run_wanted(shape, layout);
}

Status StepRunner::run_wanted(const PacketShape& shape, const PacketLayout& layout) {
  const ResultLayout results = result_layout(shape.logit_rows, true);
  const auto* picked = reinterpret_cast<const int32_t*>(device_packet_ + layout.picked);
  SamplerArgs args;
  args.logits = model_->logits();
  args.logits_stride = vocab_size_;
  args.vocab_size = vocab_size_;
  args.biases = reinterpret_cast<const TokenBias*>(device_packet_ + layout.biases);
  args.cells = cells_;
  args.last_token = last_token_;
  for (uint32_t first = 0; first < shape.logit_rows; first += limits_.logit_rows_max) {
    args.rows = std::min(limits_.logit_rows_max, shape.logit_rows - first);
    SLUICE_RETURN_IF_ERROR(model_->run_head(picked + first, args.rows, stream_));
    args.sampling = reinterpret_cast<const SampleRow*>(device_packet_ + layout.sampling) + first;
    args.sampled = reinterpret_cast<SampledRow*>(device_results_) + first;
    args.top = reinterpret_cast<ScoredId*>(device_results_ + results.top) +
               uint64_t{first} * kTopScoresMax;
    SLUICE_RETURN_IF_ERROR(sample(args, stream_));
  }
  return Status::ok();
}

// The largest first, as graphs share what memory they need.
Status StepRunner::capture_graphs() {
  if (!limits_.graphs) return Status::ok();
  for (uint32_t sequences = limits_.sequences_max; sequences > 0; --sequences) {
    const uint32_t bucket = decode_bucket(sequences);
    if (bucket > limits_.rows_max || bucket > limits_.logit_rows_max) continue;
    if (!graphs_.contains(bucket)) SLUICE_RETURN_IF_ERROR(capture(bucket));
  }
  return Status::ok();
}

// A step of padding alone runs first: what is loaded or chosen at a first use is so before capture.
Status StepRunner::capture(uint32_t bucket) {
  const PacketShape shape = graph_shape(bucket);
  packet_.fill({});
  PinnedBuffer& packet = flights_[0].packet;
  packet_.pack(shape, 0, packet.data());
  prefill_tiles_ = 0;
  SLUICE_RETURN_IF_ERROR(
      copy_to_device(device_packet_, packet.data(), packet_.packed_bytes(shape), stream_));
  SLUICE_RETURN_IF_ERROR(run(shape, bucket));
  SLUICE_RETURN_IF_ERROR(wait_for(stream_));
  SLUICE_RETURN_IF_ERROR(DeviceGraph::begin_capture(stream_));
  const Status launched = run(shape, bucket);
  const Status captured = DeviceGraph::end_capture(stream_, &graphs_[bucket]);
  return launched.is_ok() ? captured : launched;
}

}  // namespace sluice
