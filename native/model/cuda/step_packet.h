// What a step sends to the device, packed into one piece so that one copy brings it: the arrays of
// StepBatch, the rows of logits that are wanted and how each is read, and what is new in the block
// tables. Where a section begins follows from the packet's shape alone, so the addresses that a
// captured graph holds are right for every step of its shape.
//
//   | shape's sections, each 16-byte aligned ............................ | biases |
//   | header | row_* | seq_* | picked | sample rows | table changes       |  any   |
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/sampler.h"
#include "kernels/cuda/step.h"
#include "kernels/cuda/tables.h"
#include "model/backend.h"
#include "runtime/status.h"

namespace sluice {

// Everything that a packet's layout follows from; all counts padded.
struct PacketShape {
  uint32_t rows = 0;
  uint32_t sequences = 0;
  uint32_t logit_rows = 0;
  uint32_t changes = 0;
};

// Byte offsets of the sections.
struct PacketLayout {
  explicit PacketLayout(const PacketShape& shape);

  uint64_t change_count = 0;
  uint64_t row_token = 0;
  uint64_t row_position = 0;
  uint64_t row_slot = 0;
  uint64_t seq_query_start = 0;
  uint64_t seq_context = 0;
  uint64_t seq_slot = 0;
  uint64_t picked = 0;
  uint64_t sampling = 0;
  uint64_t changes = 0;
  uint64_t biases = 0;  // the end of the shape's sections
};

// One wanted row of logits, in the order of their rows in the step.
struct WantedRow {
  uint32_t sequence = 0;      // of the batch
  int32_t prompt_index = -1;  // the result's prompt entry; -1: the draw
};

// A batch in the device's order: decode rows first. Storage is taken once and refilled.
class StepPacket {
 public:
  struct Limits {
    uint32_t rows_max = 0;
    uint32_t sequences_max = 0;
    uint32_t blocks_per_sequence_max = 0;
  };
  explicit StepPacket(const Limits& limits);

  // Takes the batch in: what follows describes it. `changes` are the tables' news.
  void fill(const Batch& batch);

  uint32_t rows() const { return static_cast<uint32_t>(row_token_.size()); }
  uint32_t sequences() const { return static_cast<uint32_t>(seq_slot_.size()); }
  uint32_t decode_sequences() const { return decode_sequences_; }
  // Query tokens of each sequence after the decode ones.
  std::span<const uint32_t> prefill_tokens() const { return prefill_tokens_; }
  std::span<const WantedRow> wanted() const { return wanted_; }
  std::span<const TableChange> changes() const { return changes_; }
  bool wants_top() const { return wants_top_; }

  // Bytes that pack() writes for this shape.
  uint64_t packed_bytes(const PacketShape& shape) const;
  // Writes the packet, padded to `shape`. `first_change` leaves out changes made before.
  void pack(const PacketShape& shape, size_t first_change, uint8_t* out) const;

 private:
  void add_sequence(const BatchSequence& sequence, uint32_t index);
  void add_changes(const BatchSequence& sequence);
  void add_wanted(const BatchSequence& sequence, uint32_t index, uint32_t first_row);
  SampleRow sample_row(const BatchSequence& sequence);

  const Limits limits_;
  // What the device's table of a slot holds: of which admission, and how many entries.
  struct KnownTable {
    uint64_t admission = 0;
    uint32_t entries = 0;
  };
  std::vector<KnownTable> known_;
  std::vector<int32_t> row_token_;
  std::vector<int32_t> row_position_;
  std::vector<int32_t> row_slot_;
  std::vector<int32_t> seq_query_start_;
  std::vector<int32_t> seq_context_;
  std::vector<int32_t> seq_slot_;
  std::vector<int32_t> picked_;
  std::vector<SampleRow> sampling_;
  std::vector<WantedRow> wanted_;
  std::vector<TokenBias> biases_;
  std::vector<TableChange> changes_;
  std::vector<uint32_t> prefill_tokens_;
  uint32_t decode_sequences_ = 0;
  bool wants_top_ = false;
};

// Whether a draw of this sequence needs the slot's history on the device.
bool has_penalties(const SamplingArgs& sampling);

}  // namespace sluice
