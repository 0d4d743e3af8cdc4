// What the kernels of one step know of its batch. All pointers are device memory that one packed
// copy a step fills, at addresses that never change, so a captured graph reads the next step's.
//
//   rows:       | decode: one a sequence | prefill: query tokens, sequence after sequence | padding
//   | sequences:  | decode                 | prefill                                        |
//   padding |
//
// A padded row has slot -1 and position 0; a padded sequence has slot -1, context 0 and no rows
// except in a decode graph's bucket, where it has its one padded row: kernels that see slot -1
// write nothing that a live row reads.
#pragma once

#include <cstdint>

namespace sluice {

struct StepBatch {
  uint32_t rows = 0;                      // padded; grids depend on it
  uint32_t sequences = 0;                 // padded
  uint32_t decode_sequences = 0;          // the first ones, one row each; padded in a decode step
  const int32_t* row_token = nullptr;     // [rows] id; -1: last_token[row_slot]
  const int32_t* row_position = nullptr;  // [rows] position in its sequence
  const int32_t* row_slot = nullptr;      // [rows]
  const int32_t* seq_query_start = nullptr;  // [sequences + 1] first row
  const int32_t* seq_context = nullptr;      // [sequences] tokens in the KV before this step
  const int32_t* seq_slot = nullptr;         // [sequences]
  // [sequences_max, blocks_per_sequence_max] block ids, by slot; past a sequence's end: anything
  const int32_t* block_tables = nullptr;
  uint32_t blocks_per_sequence_max = 0;
};

}  // namespace sluice
