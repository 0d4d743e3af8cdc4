// One row of logits: penalties, biases and bans; the raw scores where they are asked for;
// temperature, top-k, top-p, min-p; the draw. The row is read from memory once, into the shared
// memory of a cluster of blocks; where it does not fit, or a chip has no clusters, it is worked on
// where it lies.
#include <algorithm>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/sampler.h"
#include "kernels/cuda/sampler_search.cuh"
#include "kernels/sampler.h"

namespace sluice {
namespace {

constexpr float kMasked = -__builtin_inff();
constexpr float kLeastLogprob = -9999;

struct SamplerParameters {
  SamplerArgs args;
  uint32_t part_size;  // ids of one block, a multiple of 4
  bool in_shared;
};

struct Best {
  float logit;
  uint32_t id;
};

struct Draw {
  double score;
  uint32_t id;
  uint32_t unused;
};

struct Shared {
  SampleRow row;
  TeamShared team;
  SearchShared search;
  ScoredId top[kTopScoresMax];  // the first block's: what all blocks found, unordered
  uint32_t top_count;
};

// Higher first, then the lower id; NaN is neither.
__device__ __forceinline__ Best better(const Best& a, const Best& b) {
  const bool is_b = b.logit > a.logit || (b.logit == a.logit && b.id < a.id);
  return is_b ? b : a;
}

__device__ __forceinline__ Draw better_draw(const Draw& a, const Draw& b) {
  const bool is_b = b.score > a.score || (b.score == a.score && b.id < a.id);
  return is_b ? b : a;
}

constexpr uint32_t kNoId = 0xFFFFFFFFu;

// Scores above this may be the highest, where `most` is the highest estimate.
__device__ __forceinline__ float open_below(float most) {
  return most - 2 * (kGumbelError + 4e-7f * fabsf(most));
}

__device__ __forceinline__ float warp_most(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, offset));
  }
  return value;
}

template <uint32_t kBlocks>
struct Sampling {
  const SamplerParameters& p;
  const SampleRow& row;
  Shared& shared;
  Team<kBlocks>& team;
  RowPart part;
  float* logits;  // the row in memory
  uint32_t index;

  __device__ __forceinline__ float penalised(float logit, uint32_t cell) const {
    if (cell == 0) return logit;
    const float penalty = row.repetition_penalty;
    logit = logit > 0 ? __fdiv_rn(logit, penalty) : multiply(logit, penalty);
    const auto count = static_cast<float>(cell & kCellCountMax);
    if (count == 0) return logit;
    return add(logit, -add(row.presence_penalty, multiply(row.frequency_penalty, count)));
  }

  // The cells of the row's slot, where its penalties need them.
  __device__ __forceinline__ const uint16_t* cells() const {
    const bool has = row.has_penalties != 0 && row.score_id < 0 && p.args.cells != nullptr;
    if (!has) return nullptr;
    return p.args.cells + static_cast<uint64_t>(row.slot) * p.args.vocab_size;
  }

  __device__ __forceinline__ void load() const {
    const uint16_t* said = cells();
    if (!p.in_shared && said == nullptr) return;
    if (said == nullptr && p.args.logits_stride % 4 == 0) {
      const auto* from = reinterpret_cast<const float4*>(logits + part.begin);
      const uint32_t whole = (max(part.end, part.begin) - part.begin) / 4;
#pragma unroll 8
      for (uint32_t i = threadIdx.x; i < whole; i += kSamplerThreads) {
        reinterpret_cast<float4*>(part.values)[i] = from[i];
      }
      const uint32_t id = part.begin + whole * 4 + threadIdx.x;
      if (id < part.end) part.values[id - part.begin] = logits[id];
      return;
    }
#pragma unroll 4
    for (uint32_t id = part.begin + threadIdx.x; id < part.end; id += kSamplerThreads) {
      float logit = logits[id];
      if (said != nullptr) logit = penalised(logit, said[id]);
      part.values[id - part.begin] = logit;
    }
  }

  // One id's logit before temperature, by one thread; shared memory may hold it divided already.
  __device__ __forceinline__ float raw_logit(uint32_t id) const {
    float logit = logits[id];
    if (!p.in_shared || row.score_id >= 0) return logit;
    const uint16_t* said = cells();
    if (said != nullptr) logit = penalised(logit, said[id]);
    const TokenBias* biases = p.args.biases + row.bias_begin;
    for (uint32_t i = 0; i < row.bias_count + row.ban_count; ++i) {
      if (static_cast<uint32_t>(biases[i].token) != id) continue;
      logit = i < row.bias_count ? add(logit, biases[i].bias) : kMasked;
    }
    return logit;
  }

  // Divides by the temperature where the row is this block's own; elsewhere each reader does.
  __device__ __forceinline__ void divide() const {
    if (!p.in_shared || row.temperature == 1) return;
#pragma unroll 4
    for (uint32_t i = part.begin + threadIdx.x; i < part.end; i += kSamplerThreads) {
      part.values[i - part.begin] = __fdiv_rn(part.values[i - part.begin], row.temperature);
    }
    __syncthreads();
  }

  __device__ __forceinline__ float divisor() const {
    return p.in_shared ? 1 : row.temperature;
  }

  // Biases add, then bans set.
  __device__ __forceinline__ void adjust() const {
    const TokenBias* biases = p.args.biases + row.bias_begin;
    for (uint32_t i = threadIdx.x; i < row.bias_count + row.ban_count; i += kSamplerThreads) {
      const auto id = static_cast<uint32_t>(biases[i].token);
      if (id < part.begin || id >= part.end || i >= row.bias_count) continue;
      part.values[id - part.begin] = add(part.values[id - part.begin], biases[i].bias);
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < row.ban_count; i += kSamplerThreads) {
      const auto id = static_cast<uint32_t>(biases[row.bias_count + i].token);
      if (id >= part.begin && id < part.end) part.values[id - part.begin] = kMasked;
    }
  }

  __device__ __forceinline__ Best find_best() const {
    Best best = {kMasked, kNoId};
    part.each([&](float logit, uint32_t id) { best = better(best, {logit, id}); });
    best = team.reduce(best, better);
    if (best.id == kNoId) best.id = 0;
    return best;
  }

  __device__ __forceinline__ DeviceCut find_cut(float highest) const {
    DeviceCut cut;
    if (row.top_k > 0 && row.top_k < p.args.vocab_size) {
      Search<kBlocks, Measure::kCount> search(team, shared.search, part, divisor(), highest, cut);
      cut = search.find([&](uint64_t) { return uint64_t{row.top_k}; });
    }
    if (row.top_p < 1) {
      Search<kBlocks, Measure::kMass> search(team, shared.search, part, divisor(), highest, cut);
      const double share = row.top_p > 0 ? row.top_p : 0.0;
      cut = search.find([&](uint64_t total) {
        return static_cast<uint64_t>(share * static_cast<double>(total));
      });
    }
    const auto lowest = static_cast<float>(static_cast<double>(highest) + row.min_p_log);
    if (lowest > cut.logit) cut = {lowest, 0xFFFFFFFFu};
    return cut;
  }

  __device__ __forceinline__ float divided(uint32_t id) const {
    const float logit = part.values[id - part.begin];
    return divisor() == 1 ? logit : __fdiv_rn(logit, divisor());
  }

  __device__ __forceinline__ PhiloxWords words_of(uint32_t group) const {
    const auto low = static_cast<uint32_t>(row.position);
    const auto high = static_cast<uint32_t>(row.position >> 32);
    return philox_words({{low, high, group, row.choice}}, row.seed);
  }

  // A group's logits; past the end they are masked.
  __device__ __forceinline__ float4 fours(uint32_t group) const {
    const uint32_t id = group * 4;
    if (part.in_fours && id + 4 <= part.end) return part.four(id);
    float4 four = make_float4(kMasked, kMasked, kMasked, kMasked);
    if (id < part.end) four.x = part.values[id - part.begin];
    if (id + 1 < part.end) four.y = part.values[id + 1 - part.begin];
    if (id + 2 < part.end) four.z = part.values[id + 2 - part.begin];
    if (id + 3 < part.end) four.w = part.values[id + 3 - part.begin];
    return four;
  }

  // Noisy logits of four ids as estimates; what cannot reach `best` counts as masked.
  __device__ __forceinline__ float4 estimate(const DeviceCut& cut,
                                             uint32_t group,
                                             float best) const {
    float scores[4] = {kMasked, kMasked, kMasked, kMasked};
    bool has_any = false;
    const float4 four = fours(group);
    const float raw[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t id = group * 4 + i;
      const float logit = divisor() == 1 ? raw[i] : __fdiv_rn(raw[i], divisor());
      if (!(logit > kMasked) || !cut.keeps(logit, id) || logit + kGumbelMost < best) continue;
      scores[i] = logit;
      has_any = true;
    }
    if (has_any) {
      const PhiloxWords words = words_of(group);
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) {
        if (!(scores[i] > kMasked)) continue;
        const bool may_reach = scores[i] + gumbel_bound(words.w[i]) >= best;
        scores[i] = may_reach ? scores[i] + gumbel_estimate(words.w[i]) : kMasked;
      }
    }
    return make_float4(scores[0], scores[1], scores[2], scores[3]);
  }

  // Estimates first; float64 decides among those that the estimate's error leaves open.
  __device__ __forceinline__ uint32_t draw(const DeviceCut& cut) const {
    Best first = {kMasked, kNoId};
    float second = kMasked;
    float best = kMasked;  // of this warp; less the error, so that what is open stays
    const uint32_t groups = (part.end + 3) / 4;
    const uint32_t begin = part.begin / 4;
    for (uint32_t base = begin; base < groups; base += kSamplerThreads) {
      const uint32_t group = base + threadIdx.x;
      const float4 scores = estimate(cut, group, best);
      const float all[4] = {scores.x, scores.y, scores.z, scores.w};
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) {
        second = fmaxf(second, fminf(first.logit, all[i]));
        if (all[i] > first.logit) first = {all[i], group * 4 + i};
      }
      best = fmaxf(best, open_below(warp_most(first.logit)));
    }
    const float most = team.reduce(first.logit, [](float a, float b) { return fmaxf(a, b); });
    const float open = open_below(most);
    Draw drawn = {-__builtin_inf(), kNoId, 0};
    if (second >= open) {
      for (uint32_t group = begin + threadIdx.x; group < groups; group += kSamplerThreads) {
        const float4 scores = estimate(cut, group, open);
        const float all[4] = {scores.x, scores.y, scores.z, scores.w};
        for (uint32_t i = 0; i < 4; ++i) {
          if (all[i] >= open) drawn = better_draw(drawn, exact(group * 4 + i));
        }
      }
    } else if (first.logit >= open) {
      drawn = exact(first.id);
    }
    drawn = team.reduce(drawn, better_draw);
    return drawn.id == kNoId ? 0 : drawn.id;
  }

  __device__ __forceinline__ Draw exact(uint32_t id) const {
    const PhiloxWords words = words_of(id / 4);
    const uint32_t word = id % 4 == 0   ? words.w[0]
                          : id % 4 == 1 ? words.w[1]
                          : id % 4 == 2 ? words.w[2]
                                        : words.w[3];
    return {static_cast<double>(divided(id)) + gumbel_exact(word), id, 0};
  }

  __device__ __forceinline__ double log_sum(float highest) const {
    double sum = 0;
    part.each([&](float logit, uint32_t) {
      if (logit > kMasked) sum += static_cast<double>(exp_exact(add(logit, -highest)));
    });
    sum = team.reduce(sum, [](double a, double b) { return a + b; });
    return static_cast<double>(highest) + log(sum);
  }

  __device__ __forceinline__ float logprob(float logit, double sum) const {
    const auto value = static_cast<float>(static_cast<double>(logit) - sum);
    return isfinite(value) ? value : kLeastLogprob;
  }

  // The best ids as the row stands: found by the search, put in order by the first block.
  __device__ __forceinline__ void write_top(uint32_t wanted, float highest, double sum) const {
    Search<kBlocks, Measure::kCount> search(team, shared.search, part, 1.0f, highest, {});
    const DeviceCut cut = search.find([&](uint64_t) { return uint64_t{wanted}; });
    if (threadIdx.x == 0) shared.top_count = 0;
    team.sync();
    uint32_t* count = team.of(&shared.top_count, 0);
    ScoredId* top = team.of(shared.top, 0);
    part.each([&](float logit, uint32_t id) {
      if (!(logit > kMasked) || !cut.keeps(logit, id)) return;
      const uint32_t place = atomicAdd(count, 1);
      if (place < kTopScoresMax) top[place] = {static_cast<int32_t>(id), logit};
    });
    team.sync();
    if (team.rank() != 0) return;
    const uint32_t found = min(shared.top_count, wanted);
    ScoredId* out = p.args.top + uint64_t{index} * kTopScoresMax;
    if (threadIdx.x < found) {
      const ScoredId own = shared.top[threadIdx.x];
      uint32_t place = 0;
      for (uint32_t i = 0; i < found; ++i) {
        const ScoredId other = shared.top[i];
        const bool is_ahead =
            other.logprob > own.logprob || (other.logprob == own.logprob && other.id < own.id);
        place += is_ahead ? 1 : 0;
      }
      out[place] = {own.id, logprob(own.logprob, sum)};
    }
    if (threadIdx.x == 0) p.args.sampled[index].top_count = found;
  }

  __device__ __forceinline__ void run() const {
    load();
    __syncthreads();
    const bool scores = row.score_id >= 0;
    if (!scores && row.bias_count + row.ban_count > 0) {
      adjust();
      __syncthreads();
    }
    const Best best = find_best();
    uint32_t id = scores ? static_cast<uint32_t>(row.score_id) : best.id;
    const bool is_first = team.rank() == 0 && threadIdx.x == 0;
    if (is_first) p.args.sampled[index].top_count = 0;
    double sum = 0;
    if (row.logprobs >= 0) {
      sum = log_sum(best.logit);
      const auto wanted = min(static_cast<uint32_t>(row.logprobs), p.args.vocab_size);
      if (wanted > 0) write_top(min(wanted, kTopScoresMax), best.logit, sum);
    }
    if (!scores && row.temperature > kGreedyTemperature && best.logit > kMasked) {
      divide();
      id = draw(find_cut(__fdiv_rn(best.logit, row.temperature)));
    }
    const float score = is_first && row.logprobs >= 0 ? logprob(raw_logit(id), sum) : 0.0f;
    if (is_first) {
      p.args.sampled[index].id = static_cast<int32_t>(id);
      p.args.sampled[index].logprob = score;
      if (!scores) keep(id);
    }
    team.sync();  // nobody leaves while others may read its memory
  }

  // For the next step: the token itself, and that it was said.
  __device__ __forceinline__ void keep(uint32_t id) const {
    p.args.last_token[row.slot] = static_cast<int32_t>(id);
    if (row.has_penalties == 0 || p.args.cells == nullptr) return;
    uint16_t* cell = p.args.cells + static_cast<uint64_t>(row.slot) * p.args.vocab_size + id;
    if ((*cell & kCellCountMax) < kCellCountMax) *cell = static_cast<uint16_t>(*cell + 1);
  }
};

template <uint32_t kBlocks>
__global__ void __launch_bounds__(kSamplerThreads, 2) sampler_kernel(const SamplerParameters p) {
  extern __shared__ __align__(16) char memory[];
  auto& shared = *reinterpret_cast<Shared*>(memory);
  pdl_launch_dependents();
  pdl_wait();
  const uint32_t index = blockIdx.x / kBlocks;
  if (p.args.sampling[index].slot < 0) return;
  if (threadIdx.x < sizeof(SampleRow) / 4) {
    const auto* words = reinterpret_cast<const uint32_t*>(p.args.sampling + index);
    reinterpret_cast<uint32_t*>(&shared.row)[threadIdx.x] = words[threadIdx.x];
  }
  __syncthreads();
  Team<kBlocks> team(&shared.team);
  float* logits = p.args.logits + index * p.args.logits_stride;
  RowPart part;
  part.begin = team.rank() * p.part_size;  // past the end where nothing is left for this block
  part.end = min(part.begin + p.part_size, p.args.vocab_size);
  part.values =
      p.in_shared ? reinterpret_cast<float*>(memory + sizeof(Shared)) : logits + part.begin;
  part.in_fours = p.in_shared || p.args.logits_stride % 4 == 0;
  const Sampling<kBlocks> sampling = {p, shared.row, shared, team, part, logits, index};
  sampling.run();
}

struct SamplerShape {
  uint32_t blocks = 1;
  uint32_t shared_bytes = 0;  // that a block may have
};

SamplerShape read_shape() {
  int device = 0;
  int major = 0;
  int shared = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return {};
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return {major >= 9 ? kTeamMax : 1, static_cast<uint32_t>(shared)};
}

const SamplerShape& sampler_shape() {
  static const SamplerShape shape = read_shape();
  return shape;
}

uint32_t part_size(uint32_t vocab_size) {
  const uint32_t blocks = sampler_shape().blocks;
  return ((vocab_size + blocks - 1) / blocks + 3) / 4 * 4;
}

}  // namespace

Status prepare_sampler(uint32_t vocab_size) {
  if (vocab_size > kIdsMax) {
    return {StatusCode::kUnsupported, "sampler: " + std::to_string(vocab_size) + " ids"};
  }
  const auto most = static_cast<int>(sampler_shape().shared_bytes);
  SLUICE_RETURN_IF_CUDA(
      cudaFuncSetAttribute(sampler_kernel<1>, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
  return SLUICE_DEVICE_STATUS(cudaFuncSetAttribute(
      sampler_kernel<kTeamMax>, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
}

Status sample(const SamplerArgs& args, DeviceStream stream) {
  if (args.rows == 0) return Status::ok();
  const SamplerShape& device = sampler_shape();
  SamplerParameters p{args, part_size(args.vocab_size), false};
  const uint64_t with_part = sizeof(Shared) + uint64_t{p.part_size} * sizeof(float);
  p.in_shared = with_part <= device.shared_bytes;
  const uint64_t bytes = p.in_shared ? with_part : sizeof(Shared);
  const LaunchShape shape{dim3(args.rows * device.blocks),
                          dim3(kSamplerThreads),
                          static_cast<uint32_t>(bytes),
                          device.blocks};
  if (device.blocks == 1) return launch_kernel(sampler_kernel<1>, shape, stream, p);
  return launch_kernel(sampler_kernel<kTeamMax>, shape, stream, p);
}

}  // namespace sluice
