// What a step gave, and its packed form: one buffer of little-endian u32 words, the layout drawn in
// src/generate/engine/stepOutput.ts. The two files change together, with the version.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/finish.h"
#include "model/backend.h"

namespace sluice {

inline constexpr uint32_t kStepLayoutVersion = 1;
inline constexpr uint32_t kStepHeaderWords = 12;
inline constexpr uint32_t kStepEntryWords = 7;

struct StepEntry {
  uint32_t sequence = 0;
  Ending ending;
  uint32_t position = 0;  // of the first id
  uint32_t first_id = 0;  // of the report's ids
  uint32_t id_count = 0;
  uint32_t cached_tokens = 0;
  bool has_logprobs = false;
  std::vector<SampledToken> logprobs;  // as its ids
  bool has_prompt_logprobs = false;
  std::vector<SampledToken> prompt_logprobs;  // of prompt tokens 1..
};

struct StepReport {
  uint64_t step = 0;
  uint32_t batch_tokens = 0;
  uint32_t batch_sequences = 0;
  uint32_t running = 0;  // after the step, as the rest
  uint32_t waiting = 0;
  uint32_t preempted = 0;
  uint32_t blocks_free = 0;
  uint32_t blocks = 0;
  uint32_t duration_us = 0;
  std::vector<StepEntry> entries;
  std::vector<uint32_t> ids;  // of all entries: one allocation for hundreds of them

  std::span<const uint32_t> ids_of(const StepEntry& entry) const {
    return std::span(ids).subspan(entry.first_id, entry.id_count);
  }
};

std::vector<uint32_t> pack_step(const StepReport& report);

}  // namespace sluice
