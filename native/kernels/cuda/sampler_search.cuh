// Finds where top-k or top-p ends without sorting the row: ids fall into bins by their distance
// below the highest logit, and the few of the bin that decides are put in order. Where they are not
// few, the bin is cut finer by the bits of the logits, until one value is left; ids with that value
// count from the lowest. Counts and probabilities are whole numbers, so no order of addition can
// change the answer.
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

// Fours that a thread has under way: two need more registers on chips from sm_100 on.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
inline constexpr int kFoursAtOnce = 1;
#else
inline constexpr int kFoursAtOnce = 2;
#endif

// One block's part of a row.
struct RowPart {
  float* values;   // of ids [begin, end)
  uint32_t begin;  // a multiple of 4
  uint32_t end;
  bool in_fours;  // values are where four can be read at once

  __device__ __forceinline__ float4 four(uint32_t id) const {
    return *reinterpret_cast<const float4*>(values + (id - begin));
  }

  // f(logit, id) for this thread's ids.
  template <typename F>
  __device__ __forceinline__ void each(F f) const {
    uint32_t rest = begin;
    if (in_fours && begin < end) {
      rest = begin + (end - begin) / 4 * 4;
#pragma unroll(kFoursAtOnce)
      for (uint32_t id = begin + threadIdx.x * 4; id < rest; id += kSamplerThreads * 4) {
        const float4 all = four(id);
        f(all.x, id);
        f(all.y, id + 1);
        f(all.z, id + 2);
        f(all.w, id + 3);
      }
    }
    for (uint32_t id = rest + threadIdx.x; id < end; id += kSamplerThreads) {
      f(values[id - begin], id);
    }
  }
};

// Ids of the deciding bin that one block puts in order, and how many of them all at once.
inline constexpr uint32_t kCandidatesMax = 1024;
inline constexpr uint32_t kFinalistsMax = 64;

struct Candidate {
  uint64_t amount;
  float logit;
  uint32_t id;

  __device__ __forceinline__ bool is_before(const Candidate& other) const {
    return logit > other.logit || (logit == other.logit && id < other.id);
  }
};

// A sum in two words: shared memory adds 32 bits in one instruction, and 64 in a loop.
struct BinSum {
  uint32_t low;
  uint32_t high;

  __device__ __forceinline__ uint64_t whole() const {
    return static_cast<uint64_t>(high) << 32 | low;
  }
};

struct SearchShared {
  BinSum amounts[kSearchBins];
  uint64_t warps[kSamplerWarps];
  Candidate candidates[kCandidatesMax];  // the first block's, as the next four
  uint16_t finalists[kCandidatesMax];    // of candidates
  uint32_t candidate_count;
  uint32_t finalist_count;
  DeviceCut found;
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
                                    float divisor,
                                    float highest,
                                    const DeviceCut& cut)
      : team_(team),
        shared_(shared),
        part_(part),
        divisor_(divisor),
        highest_(highest),
        cut_(cut) {}

  // The smallest set, best first, whose amount reaches `amount(of all)`; the whole set where that
  // is never reached.
  template <typename Amount>
  __device__ __forceinline__ DeviceCut find(Amount amount) {
    fill_by_distance();
    uint64_t left = locate(amount);
    const uint32_t bin = shared_.bin;
    if (bin == kSearchBins) return cut_;
    left -= shared_.before;
    const uint32_t count = gather(bin);
    return count <= kCandidatesMax ? choose(bin, count, left) : narrow(bin, left);
  }

 private:
  struct Range {
    uint32_t low;
    uint32_t high;
  };

  // f(logit over the divisor, id) for what the cut before this search left, without NaN.
  template <typename F>
  __device__ __forceinline__ void each(F f) const {
    part_.each([&](float raw, uint32_t id) {
      const float logit = divisor_ == 1 ? raw : __fdiv_rn(raw, divisor_);
      if (cut_.keeps(logit, id)) f(logit, id);
    });
  }

  __device__ __forceinline__ uint64_t amount_of(float logit) const {
    return kMeasure == Measure::kCount ? 1 : mass_of_logit(logit, highest_);
  }

  __device__ __forceinline__ void add_to_bin(uint32_t bin, uint64_t amount) {
    if (amount == 0) return;
    const auto low = static_cast<uint32_t>(amount);
    auto high = static_cast<uint32_t>(amount >> 32);
    BinSum* sum = shared_.amounts + bin;
    if (low != 0) {
      const uint32_t before = atomicAdd(&sum->low, low);
      high += before + low < before ? 1 : 0;  // what it carries
    }
    if (high != 0) atomicAdd(&sum->high, high);
  }

  __device__ __forceinline__ void clear_own_bins() {
    for (uint32_t i = threadIdx.x; i < kSearchBins; i += kSamplerThreads) {
      shared_.amounts[i] = {0, 0};
    }
  }

  __device__ __forceinline__ void clear_bins() {
    team_.sync();  // the others may still read what this block has found before
    clear_own_bins();
    if (threadIdx.x == 0) shared_.candidate_count = 0;
    __syncthreads();
  }

  // Adds each id's amount to its bin, over the team; bin_of(logit) of kSearchBins leaves it out.
  // The last bin, which most ids are in, is added up in registers. Nothing else branches: lanes
  // that part would each pay for the other's exponential.
  template <typename BinOf>
  __device__ __forceinline__ void fill(BinOf bin_of) {
    clear_bins();
    uint64_t last = 0;
    each([&](float logit, uint32_t) {
      const uint32_t bin = bin_of(logit);
      const uint64_t amount = bin == kSearchBins ? 0 : amount_of(logit);
      const bool is_last = bin >= kSearchBins - 1;
      last += is_last ? amount : 0;
      if (!is_last) add_to_bin(bin, amount);
    });
#pragma unroll
    for (uint32_t offset = 16; offset > 0; offset /= 2) {
      last += __shfl_xor_sync(0xFFFFFFFFu, last, offset);
    }
    if (threadIdx.x % 32 == 0) add_to_bin(kSearchBins - 1, last);
    team_.sync();
  }

  __device__ __forceinline__ void fill_by_distance() {
    fill([&](float logit) { return search_bin(logit, highest_); });
  }

  static constexpr uint32_t kOwn = kSearchBins / kSamplerThreads;

  // Bins kOwn t .. of thread t, over this block and the others that are summed; and what comes
  // before them.
  template <uint32_t kSummed>
  __device__ __forceinline__ uint64_t own_bins(uint64_t (&own)[kOwn]) {
    uint64_t sum = 0;
#pragma unroll
    for (uint32_t i = 0; i < kOwn; ++i) {
      own[i] = 0;
#pragma unroll
      for (uint32_t rank = 0; rank < kSummed; ++rank) {
        BinSum* bin = shared_.amounts + threadIdx.x * kOwn + i;
        own[i] += (kSummed == 1 ? bin : team_.of(bin, rank))->whole();
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

  // The first bin with which amount(of all) is reached, and the amount before it, in shared memory;
  // an amount of 0 takes the first bin that holds anything. No bin: kSearchBins. Gives the amount.
  template <uint32_t kSummed = kBlocks, typename Amount>
  __device__ __forceinline__ uint64_t locate(Amount amount) {
    uint64_t own[kOwn];
    uint64_t before = own_bins<kSummed>(own);
    uint64_t total = 0;
    for (uint32_t i = 0; i < kSamplerWarps; ++i) total += shared_.warps[i];
    const uint64_t left = amount(total);
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
    return left;
  }

  // Brings the bin's ids to the first block. Gives their number, which may be more than fit.
  __device__ __forceinline__ uint32_t gather(uint32_t bin) {
    uint32_t* count = team_.of(&shared_.candidate_count, 0);
    Candidate* candidates = team_.of(shared_.candidates, 0);
    each([&](float logit, uint32_t id) {
      if (search_bin(logit, highest_) != bin) return;
      const uint32_t place = atomicAdd(count, 1);
      if (place < kCandidatesMax) candidates[place] = {amount_of(logit), logit, id};
    });
    team_.sync();
    return *count;
  }

  // The candidate with which `left` is reached; the first block finds it.
  __device__ __forceinline__ DeviceCut choose(uint32_t bin, uint32_t count, uint64_t left) {
    if (team_.rank() == 0) {
      if (threadIdx.x == 0) shared_.found = cut_;
      choose_finalists(bin, count, &left);
      const uint32_t finalists = shared_.finalist_count;
      for (uint32_t i = threadIdx.x; i < finalists; i += kSamplerThreads) {
        const Candidate own = shared_.candidates[shared_.finalists[i]];
        uint64_t before = 0;
        for (uint32_t j = 0; j < finalists; ++j) {
          const Candidate& other = shared_.candidates[shared_.finalists[j]];
          if (other.is_before(own)) before += other.amount;
        }
        const uint64_t wanted = left > 0 ? left : 1;
        if (before < wanted && before + own.amount >= wanted) shared_.found = {own.logit, own.id};
      }
    }
    team_.sync();
    return *team_.of(&shared_.found, 0);
  }

  // All candidates where they are few; else those of the part of the bin that decides, and `left`
  // becomes what is wanted of it.
  __device__ __forceinline__ void choose_finalists(uint32_t bin, uint32_t count, uint64_t* left) {
    if (threadIdx.x == 0) shared_.finalist_count = 0;
    const bool all = count <= kFinalistsMax;
    const auto part_of = [&](const Candidate& candidate) {
      return all ? 0 : search_bin_part(candidate.logit, highest_, bin);
    };
    uint32_t part = 0;
    if (!all) {
      clear_own_bins();
      __syncthreads();
      for (uint32_t i = threadIdx.x; i < count; i += kSamplerThreads) {
        add_to_bin(part_of(shared_.candidates[i]), shared_.candidates[i].amount);
      }
      __syncthreads();
      locate<1>([&](uint64_t) { return *left; });
      part = shared_.bin;
      *left -= part == kSearchBins ? 0 : shared_.before;
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < count; i += kSamplerThreads) {
      if (part_of(shared_.candidates[i]) != part) continue;
      shared_.finalists[atomicAdd(&shared_.finalist_count, 1)] = static_cast<uint16_t>(i);
    }
    __syncthreads();
  }

  // Cuts the bin by ever finer bits of its logits.
  __device__ __forceinline__ DeviceCut narrow(uint32_t bin, uint64_t left) {
    Range range = team_.reduce(bin_range(bin), [](const Range& a, const Range& b) {
      return Range{min(a.low, b.low), max(a.high, b.high)};
    });
    while (range.low < range.high) {
      const uint32_t width = 32 - static_cast<uint32_t>(__clz(range.high - range.low));
      const uint32_t shift = width > 10 ? width - 10 : 0;
      fill([&](float logit) {
        const uint32_t key = ordered_key(logit);
        const bool is_in = key >= range.low && key <= range.high;
        return is_in ? (range.high - key) >> shift : kSearchBins;
      });
      locate([&](uint64_t) { return left; });
      if (shared_.bin == kSearchBins) return cut_;
      left -= shared_.before;
      const uint32_t top = range.high - (shared_.bin << shift);
      range = {max(range.low, top - min(top, (1u << shift) - 1)), top};
    }
    return cut_ties(range.high, left);
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
  float divisor_;  // of each logit
  float highest_;
  DeviceCut cut_;
};

}  // namespace sluice
