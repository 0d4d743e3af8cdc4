// Finds where top-k or top-p ends without sorting: ids fall into bins by their distance below the
// highest logit, then the bin that decides is cut finer by the bits of the logits, until one value
// is left; ids with that value count from the lowest. Counts and probabilities are whole numbers,
// so no order of addition can change the answer.
#pragma once

#include "kernels/cuda/sampler_math.cuh"
#include "kernels/cuda/sampler_team.cuh"

namespace sluice {

// As Cut in kernels/sampling/cut.h.
struct DeviceCut {
  float logit = -__builtin_inff();
  uint32_t last_id = 0xFFFFFFFFu;

  __device__ __forceinline__ bool keeps(float other, uint32_t id) const {
    return other > logit || (other == logit && id <= last_id);
  }
  // Of the ids with this logit, which is at or above the cut.
  __device__ __forceinline__ uint32_t last_id_of(float other) const {
    return other == logit ? last_id : 0xFFFFFFFFu;
  }
};

// One block's part of a row.
struct RowPart {
  float* values;  // of ids [begin, end)
  uint32_t begin;
  uint32_t end;

  // f(logit, id) for this thread's ids.
  template <typename F>
  __device__ __forceinline__ void each(F f) const {
#pragma unroll 4
    for (uint32_t id = begin + threadIdx.x; id < end; id += kSamplerThreads) {
      f(values[id - begin], id);
    }
  }
};

struct SearchShared {
  uint64_t amounts[kSearchBins];
  uint64_t warps[kSamplerWarps];
  uint64_t before;  // the amounts of bins before `bin`
  uint32_t bin;
};

// Above every vocabulary.
inline constexpr uint32_t kIdsMax = 1u << 24;

// What is counted: ids, or their mass.
enum class Measure { kCount, kMass };

template <uint32_t kBlocks, Measure kMeasure>
class Search {
 public:
  __device__ __forceinline__ Search(Team<kBlocks>& team,
                                    SearchShared& shared,
                                    const RowPart& part,
                                    float temperature,
                                    float highest,
                                    const DeviceCut& cut)
      : team_(team),
        shared_(shared),
        part_(part),
        temperature_(temperature),
        highest_(highest),
        cut_(cut) {}

  // The smallest set, best first, whose amount reaches `amount(of all)`; the whole set where that
  // is never reached.
  template <typename Amount>
  __device__ __forceinline__ DeviceCut find(Amount amount) {
    fill([&](float logit, uint32_t) { return static_cast<int32_t>(search_bin(logit, highest_)); });
    uint64_t left = amount(kMeasure == Measure::kMass ? total() : 0);
    if (!locate(left)) return cut_;
    left -= shared_.before;
    const uint32_t bin = shared_.bin;
    Range range = team_.reduce(bin_range(bin), [](const Range& a, const Range& b) {
      return Range{min(a.low, b.low), max(a.high, b.high)};
    });
    while (range.low < range.high) {
      const uint32_t width = 32 - static_cast<uint32_t>(__clz(range.high - range.low));
      const uint32_t shift = width > 10 ? width - 10 : 0;
      fill([&](float, uint32_t key) {
        const bool is_in = key >= range.low && key <= range.high;
        return is_in ? static_cast<int32_t>((range.high - key) >> shift) : -1;
      });
      if (!locate(left)) return cut_;
      left -= shared_.before;
      const uint32_t top = range.high - (shared_.bin << shift);
      range = {max(range.low, top - min(top, (1u << shift) - 1)), top};
    }
    return cut_ties(range.high, left);
  }

 private:
  struct Range {
    uint32_t low;
    uint32_t high;
  };

  __device__ __forceinline__ float scaled(float logit) const {
    return __fdiv_rn(logit, temperature_);
  }

  // f(logit over temperature, id) for what the cut before this search left, without NaN.
  template <typename F>
  __device__ __forceinline__ void each(F f) const {
    part_.each([&](float raw, uint32_t id) {
      const float logit = scaled(raw);
      if (cut_.keeps(logit, id)) f(logit, id);
    });
  }

  __device__ __forceinline__ uint64_t amount_of(float logit) const {
    return kMeasure == Measure::kCount ? 1 : mass_of_logit(logit, highest_);
  }

  // Adds each id's amount to its bin, over the team; bin_of(logit, key) < 0 leaves it out.
  template <typename BinOf>
  __device__ __forceinline__ void fill(BinOf bin_of) {
    team_.sync();  // the others may still read the last bins
    for (uint32_t i = threadIdx.x; i < kSearchBins; i += kSamplerThreads) shared_.amounts[i] = 0;
    __syncthreads();
    // Equal bins in a row are added at once: a row of one value would queue at one bin.
    int32_t pending = -1;
    uint64_t sum = 0;
    const auto flush = [&] {
      if (pending < 0 || sum == 0) return;
      atomicAdd(reinterpret_cast<unsigned long long*>(shared_.amounts + pending),
                static_cast<unsigned long long>(sum));
    };
    each([&](float logit, uint32_t) {
      const int32_t bin = bin_of(logit, ordered_key(logit));
      if (bin < 0) return;
      if (bin != pending) {
        flush();
        pending = bin;
        sum = 0;
      }
      sum += amount_of(logit);
    });
    flush();
    team_.sync();
  }

  static constexpr uint32_t kOwn = kSearchBins / kSamplerThreads;

  // Bins kOwn t .. of thread t, over the team; and what comes before them.
  __device__ __forceinline__ uint64_t own_bins(uint64_t (&own)[kOwn]) {
    uint64_t sum = 0;
#pragma unroll
    for (uint32_t i = 0; i < kOwn; ++i) {
      own[i] = 0;
#pragma unroll
      for (uint32_t rank = 0; rank < kBlocks; ++rank) {
        own[i] += *team_.of(shared_.amounts + threadIdx.x * kOwn + i, rank);
      }
      sum += own[i];
    }
    const uint32_t lane = threadIdx.x % 32;
    uint64_t upto = sum;
#pragma unroll
    for (uint32_t offset = 1; offset < 32; offset *= 2) {
      const uint64_t other = __shfl_up_sync(0xFFFFFFFFu, upto, offset);
      if (lane >= offset) upto += other;
    }
    __syncthreads();
    if (lane == 31) shared_.warps[threadIdx.x / 32] = upto;
    if (threadIdx.x == 0) shared_.bin = kSearchBins;
    __syncthreads();
    uint64_t before = upto - sum;
    for (uint32_t i = 0; i < threadIdx.x / 32; ++i) before += shared_.warps[i];
    return before;
  }

  __device__ __forceinline__ uint64_t total() {
    uint64_t own[kOwn];
    own_bins(own);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < kSamplerWarps; ++i) sum += shared_.warps[i];
    return sum;
  }

  // The first bin with which `left` is reached, and the amount before it, in shared memory; an
  // amount of 0 takes the first bin that holds anything.
  __device__ __forceinline__ bool locate(uint64_t left) {
    uint64_t own[kOwn];
    uint64_t before = own_bins(own);
    const uint64_t wanted = left > 0 ? left : 1;
#pragma unroll
    for (uint32_t i = 0; i < kOwn; ++i) {
      if (before < wanted && before + own[i] >= wanted) {
        shared_.before = before;
        shared_.bin = threadIdx.x * kOwn + i;
      }
      before += own[i];
    }
    __syncthreads();
    return shared_.bin < kSearchBins;
  }

  __device__ __forceinline__ Range bin_range(uint32_t bin) const {
    Range range = {0xFFFFFFFFu, 0};
    each([&](float logit, uint32_t) {
      if (search_bin(logit, highest_) != bin) return;
      const uint32_t key = ordered_key(logit);
      range = {min(range.low, key), max(range.high, key)};
    });
    return range;
  }

  __device__ __forceinline__ uint32_t count_ties(float value, uint32_t last_id) {
    uint32_t count = 0;
    each([&](float logit, uint32_t id) { count += logit == value && id <= last_id ? 1 : 0; });
    return team_.reduce(count, [](uint32_t a, uint32_t b) { return a + b; });
  }

  // Of the ids with this value, the lowest that reach `left`.
  __device__ __forceinline__ DeviceCut cut_ties(uint32_t key, uint64_t left) {
    const float value = value_of_key(key);
    const uint64_t each_amount = amount_of(value);
    const uint64_t wanted =
        left == 0 || each_amount == 0 ? 1 : (left + each_amount - 1) / each_amount;
    if (count_ties(value, cut_.last_id_of(value)) <= wanted) {
      return {value, cut_.last_id_of(value)};
    }
    uint32_t low = 0;  // bisection: the lowest last_id with enough ties
    uint32_t high = kIdsMax;
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (count_ties(value, middle) >= wanted) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return {value, low};
  }

  Team<kBlocks>& team_;
  SearchShared& shared_;
  const RowPart& part_;
  float temperature_;
  float highest_;
  DeviceCut cut_;
};

}  // namespace sluice
