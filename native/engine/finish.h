// When a sequence ends. src/generate/engine/scriptedSequence.ts has the same rules.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/sequence.h"

namespace sluice {

struct Ending {
  Finish finish = Finish::kNone;
  // The stop id that ended it, plus one; 0 at end of sequence and for every other finish.
  uint32_t stop_word = 0;
};

// As the sequence stands, after its last output token if it has one. An adopted sequence may be at
// its end before it drew anything. Below min_tokens nothing but the length ends.
Ending ending_of(const Sequence& sequence, const std::vector<uint32_t>& eos_ids);

}  // namespace sluice
