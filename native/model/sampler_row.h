// The sampler's row of one sequence of a batch: the one place where the two types meet.
#pragma once

#include <span>

#include "kernels/sampler.h"
#include "model/backend.h"

namespace sluice {

inline SamplerRow sampler_row(const BatchSequence& sequence, std::span<float> logits) {
  return {logits,
          sequence.sampling,
          sequence.position,
          sequence.history,
          sequence.prompt_tokens,
          sequence.banned,
          sequence.mask != nullptr ? sequence.mask->wait() : std::span<const uint32_t>()};
}

}  // namespace sluice
