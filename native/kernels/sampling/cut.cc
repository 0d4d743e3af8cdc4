// Bins of logits, and the exact limits of top-k, top-p and min-p inside the bin that decides.
#include "kernels/sampling/cut.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/exp.h"

namespace sluice {
namespace {

// 32 nats below the highest in steps of 1/64; the last bin takes all that is further down.
constexpr uint32_t kBins = 2048;
constexpr float kBinsPerNat = 64;
// Probabilities at most 1 over at most 2^20 ids: 2^(43 + 20) stays below 2^64.
constexpr uint32_t kMassBits = 43;

constexpr float kLowest = -std::numeric_limits<float>::infinity();
constexpr uint32_t kLastId = std::numeric_limits<uint32_t>::max();

// Subtraction and multiplication round monotonically, so a higher logit never has a later bin.
uint32_t bin_of(float logit, float highest) {
  const float distance = (highest - logit) * kBinsPerNat;
  // The comparison is false for NaN, which belongs last.
  return distance < static_cast<float>(kBins - 1) ? static_cast<uint32_t>(distance) : kBins - 1;
}

uint64_t mass_of(float logit, float highest) {
  constexpr float kUnit = static_cast<float>(uint64_t{1} << kMassBits);
  if (!(logit > kLowest)) return 0;
  return static_cast<uint64_t>(exp_f32(logit - highest) * kUnit);
}

}  // namespace

Cut whole_set() {
  return {kLowest, kLastId};
}

CutFinder::CutFinder() : bins_(kBins) {}

void CutFinder::fill_bins(std::span<const float> logits, float highest) {
  std::fill(bins_.begin(), bins_.end(), Bin{0, 0});
  for (const float logit : logits) {
    Bin& bin = bins_[bin_of(logit, highest)];
    bin.count += 1;
    bin.mass += mass_of(logit, highest);
  }
}

void CutFinder::sort_bin(std::span<const float> logits,
                         float highest,
                         uint32_t bin,
                         const Cut& before) {
  candidates_.clear();
  for (uint32_t id = 0; id < logits.size(); ++id) {
    if (bin_of(logits[id], highest) != bin || !before.keeps(logits[id], id)) continue;
    candidates_.push_back({logits[id], id});
  }
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  });
}

Cut CutFinder::top_k(std::span<const float> logits, uint32_t keep_count, float highest) {
  uint32_t kept = 0;
  uint32_t bin = 0;
  while (bin < kBins - 1 && kept + bins_[bin].count < keep_count) kept += bins_[bin++].count;
  sort_bin(logits, highest, bin, whole_set());
  // Only NaN logits can leave the last bin short: they are no candidates.
  if (keep_count - kept > candidates_.size()) return whole_set();
  const Candidate& last = candidates_[keep_count - kept - 1];
  // What is cut leaves the bins too, so that top-p sees only what is left.
  std::fill(bins_.begin() + bin + 1, bins_.end(), Bin{0, 0});
  bins_[bin] = {0, keep_count - kept};
  for (uint32_t i = 0; i < keep_count - kept; ++i) {
    bins_[bin].mass += mass_of(candidates_[i].logit, highest);
  }
  return {last.logit, last.id};
}

// Keeps ids, best first, until their mass reaches `share` of the whole.
Cut CutFinder::top_p(std::span<const float> logits, float share, float highest, const Cut& before) {
  uint64_t total = 0;
  for (const Bin& bin : bins_) total += bin.mass;
  const auto target =
      static_cast<uint64_t>(static_cast<double>(share) * static_cast<double>(total));
  uint64_t mass = 0;
  uint32_t bin = 0;
  while (bin < kBins - 1 && mass + bins_[bin].mass < target) mass += bins_[bin++].mass;
  sort_bin(logits, highest, bin, before);
  for (const Candidate& candidate : candidates_) {
    mass += mass_of(candidate.logit, highest);
    if (mass >= target) return {candidate.logit, candidate.id};
  }
  return before;
}

Cut CutFinder::find(std::span<const float> logits, const SamplingArgs& sampling, float highest) {
  const bool has_top_k = sampling.top_k > 0 && sampling.top_k < logits.size();
  const bool has_top_p = sampling.top_p < 1;
  Cut cut = whole_set();
  if (has_top_k || has_top_p) fill_bins(logits, highest);
  if (has_top_k) cut = top_k(logits, sampling.top_k, highest);
  if (has_top_p) cut = top_p(logits, std::max(sampling.top_p, 0.0f), highest, cut);
  if (sampling.min_p > 0) {
    const double lowest = highest + std::log(std::min(static_cast<double>(sampling.min_p), 1.0));
    const Cut min_p = {static_cast<float>(lowest), kLastId};
    if (min_p.logit > cut.logit) cut = min_p;
  }
  return cut;
}

}  // namespace sluice
