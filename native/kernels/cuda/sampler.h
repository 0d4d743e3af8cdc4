// The sampler on the device: the same order, ties, counters and limits as kernels/sampler.h, so
// that both draw the same id from the same logits. One cluster of blocks works on a row, whatever
// the batch; nothing depends on the row's place in it.
//
// Penalties need what a sequence has said: one cell for each (slot, id), kept on the device. The
// caller renews a slot when a sequence with penalties takes it, and each draw adds its own id.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/cuda/stream.h"
#include "runtime/status.h"

namespace sluice {

// Alternatives that one row can report; more are refused where requests are parsed.
inline constexpr uint32_t kTopScoresMax = 20;

// A cell of what a slot has said.
inline constexpr uint32_t kCellPrompt = 1u << 15;
inline constexpr uint32_t kCellCountMax = kCellPrompt - 1;  // more repeats count as so many

struct TokenBias {
  int32_t token;
  float bias;  // -infinity: a ban, which sets rather than adds
};

// How one row of logits is read. Filled on the host, in the step's packet.
struct SampleRow {
  int32_t slot = -1;      // -1: a padded row, nothing is read or written
  int32_t score_id = -1;  // >= 0: no draw; this id is scored in the row as it stands
  float temperature = 1;  // as SamplingArgs
  uint32_t top_k = 0;
  float top_p = 1;
  uint32_t choice = 0;
  double min_p_log = 0;  // natural log of min(min_p, 1); -infinity: off
  uint64_t seed = 0;
  uint64_t position = 0;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  float repetition_penalty = 1;
  uint32_t has_penalties = 0;  // the slot's cells are read and kept
  int32_t logprobs = -1;       // -1: none; else the number of alternatives, <= kTopScoresMax
  // Of `biases`: each id at most once among the biases; then the bans, which may repeat and may lie
  // past the vocabulary.
  uint32_t bias_begin = 0;
  uint32_t bias_count = 0;
  uint32_t ban_count = 0;
};
static_assert(sizeof(SampleRow) == 80);

struct ScoredId {
  int32_t id;
  float logprob;
};

struct SampledRow {
  int32_t id;
  float logprob;       // where asked
  uint32_t top_count;  // of the row's `top`
  uint32_t unused;
};

struct SamplerArgs {
  // [rows, logits_stride], from a multiple of 16 bytes; changed in place where they need to be
  float* logits = nullptr;
  uint64_t logits_stride = 0;
  uint32_t vocab_size = 0;
  uint32_t rows = 0;                    // padded; the grid depends on it
  const SampleRow* sampling = nullptr;  // [rows]
  const TokenBias* biases = nullptr;
  uint16_t* cells = nullptr;      // [slots, vocab_size] of sampler_cells_bytes; null: no penalties
  int32_t* last_token = nullptr;  // [slots]: drawn ids, for the next step's rows
  SampledRow* sampled = nullptr;  // [rows]
  ScoredId* top = nullptr;        // [rows, kTopScoresMax], best first
};

// Once, before any capture.
Status prepare_sampler(uint32_t vocab_size);

Status sample(const SamplerArgs& args, DeviceStream stream);

size_t sampler_cells_bytes(uint32_t slots, uint32_t vocab_size);

// One slot whose cells are made anew from a history of ids.
struct SlotHistory {
  int32_t slot;
  uint32_t begin;          // of `ids`
  uint32_t count;          // ids in all, the prompt first
  uint32_t prompt_tokens;  // how many of them are the prompt
};

struct RenewArgs {
  uint16_t* cells = nullptr;
  uint32_t vocab_size = 0;
  const SlotHistory* histories = nullptr;  // [count] device memory
  uint32_t count = 0;
  const uint32_t* ids = nullptr;  // device memory; ids past the vocabulary are passed over
};

Status renew_slots(const RenewArgs& args, DeviceStream stream);

}  // namespace sluice
