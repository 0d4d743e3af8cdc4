// Which ids top-k, top-p and min-p leave. Exact, without sorting the vocabulary: ids fall into bins
// by their distance below the highest logit, and only the bin in which the limit lies is sorted.
// Probabilities are summed as whole numbers, so no order of addition can change the answer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/sampling/args.h"

namespace sluice {

// What survives: every id above `logit`, and of those equal to it the ids up to `last_id`.
struct Cut {
  float logit;
  uint32_t last_id;

  bool keeps(float other, uint32_t id) const {
    return other > logit || (other == logit && id <= last_id);
  }
};

// The set with nothing cut.
Cut whole_set();

class CutFinder {
 public:
  CutFinder();

  // `logits` are after temperature, `highest` is their maximum and finite.
  Cut find(std::span<const float> logits, const SamplingArgs& sampling, float highest);

 private:
  struct Candidate {
    float logit;
    uint32_t id;
  };
  struct Bin {
    uint64_t mass;  // of exp(logit - highest), in units of 2^-kMassBits
    uint32_t count;
  };

  void fill_bins(std::span<const float> logits, float highest);
  void sort_bin(std::span<const float> logits, float highest, uint32_t bin, const Cut& before);
  Cut top_k(std::span<const float> logits, uint32_t keep_count, float highest);
  Cut top_p(std::span<const float> logits, float share, float highest, const Cut& before);

  std::vector<Bin> bins_;
  std::vector<Candidate> candidates_;  // of one bin, best first
};

}  // namespace sluice
