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

template <uint32_t kBlocks>
struct Sampling {
  const SamplerParameters& p;
  const SampleRow& row;
  Shared& shared;
  Team<kBlocks>& team;
  RowPart part;
  float* logits;  // the row in memory
  uint32_t index;

  __device__ __forceinline__ float at(uint32_t id) const {
    if (!p.in_shared) return logits[id];
    const float* mine = part.values + id % p.part_size;
    return *team.of(const_cast<float*>(mine), id / p.part_size);
  }

  __device__ __forceinline__ float penalised(float logit, uint32_t cell) const {
    if (cell == 0) return logit;
    const float penalty = row.repetition_penalty;
    logit = logit > 0 ? __fdiv_rn(logit, penalty) : multiply(logit, penalty);
    const auto count = static_cast<float>(cell & kCellCountMax);
    if (count == 0) return logit;
    return add(logit, -add(row.presence_penalty, multiply(row.frequency_penalty, count)));
  }

  __device__ __forceinline__ void load() const {
    const uint16_t* cells = row.has_penalties != 0 && p.args.cells != nullptr && row.score_id < 0
                                ? p.args.cells + static_cast<uint64_t>(row.slot) * p.args.vocab_size
                                : nullptr;
    if (!p.in_shared && cells == nullptr) return;
#pragma unroll 8
    for (uint32_t id = part.begin + threadIdx.x; id < part.end; id += kSamplerThreads) {
      float logit = logits[id];
      if (cells != nullptr) logit = penalised(logit, cells[id]);
      part.values[id - part.begin] = logit;
    }
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
      Search<kBlocks, Measure::kCount> search(
          team, shared.search, part, row.temperature, highest, cut);
      cut = search.find([&](uint64_t) { return uint64_t{row.top_k}; });
    }
    if (row.top_p < 1) {
      Search<kBlocks, Measure::kMass> search(
          team, shared.search, part, row.temperature, highest, cut);
      const double share = row.top_p > 0 ? row.top_p : 0.0;
      cut = search.find([&](uint64_t total) {
        return static_cast<uint64_t>(share * static_cast<double>(total));
      });
    }
    const auto lowest = static_cast<float>(static_cast<double>(highest) + row.min_p_log);
    if (lowest > cut.logit) cut = {lowest, 0xFFFFFFFFu};
    return cut;
  }

  // Calls f(logit over temperature, word, id) for what the cut left; may skip what cannot reach
  // `needed()`.
  template <typename Needed, typename F>
  __device__ __forceinline__ void each_word(const DeviceCut& cut, Needed needed, F f) const {
    const auto low = static_cast<uint32_t>(row.position);
    const auto high = static_cast<uint32_t>(row.position >> 32);
    for (uint32_t group = part.begin / 4 + threadIdx.x; group * 4 < part.end;
         group += kSamplerThreads) {
      const uint32_t end = min(group * 4 + 4, part.end);
      bool has_words = false;
      PhiloxWords words{};
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) {
        const uint32_t id = group * 4 + i;
        if (id >= end) break;
        const float logit = __fdiv_rn(part.values[id - part.begin], row.temperature);
        if (!(logit > kMasked) || !cut.keeps(logit, id)) continue;
        if (logit + kGumbelMost < needed()) continue;
        if (!has_words) words = philox_words({{low, high, group, row.choice}}, row.seed);
        has_words = true;
        f(logit, words.w[i], id);
      }
    }
  }

  // Estimates first; float64 decides among those that the estimate's error leaves open.
  __device__ __forceinline__ uint32_t draw(const DeviceCut& cut) const {
    float first = kMasked;
    float second = kMasked;
    each_word(
        cut,
        [&] { return first; },
        [&](float logit, uint32_t word, uint32_t) {
          const float score = logit + gumbel_estimate(word);
          second = fmaxf(second, fminf(first, score));
          first = fmaxf(first, score);
        });
    const float most = team.reduce(first, [](float a, float b) { return fmaxf(a, b); });
    const float open = most - 2 * (kGumbelError + 4e-7f * fabsf(most));
    Draw best = {-__builtin_inf(), kNoId, 0};
    if (first >= open) {
      each_word(
          cut,
          [&] { return open; },
          [&](float logit, uint32_t word, uint32_t id) {
            if (logit + gumbel_estimate(word) < open) return;
            best = better_draw(best, {static_cast<double>(logit) + gumbel_exact(word), id, 0});
          });
    }
    best = team.reduce(best, better_draw);
    return best.id == kNoId ? 0 : best.id;
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
    if (!scores && row.temperature > kGreedyTemperature && best.logit > kMasked) {
      id = draw(find_cut(__fdiv_rn(best.logit, row.temperature)));
    }
    const bool is_first = team.rank() == 0 && threadIdx.x == 0;
    float score = 0;
    if (is_first) p.args.sampled[index].top_count = 0;
    if (row.logprobs >= 0) {
      const double sum = log_sum(best.logit);
      if (is_first) score = logprob(at(id), sum);
      const auto wanted = min(static_cast<uint32_t>(row.logprobs), p.args.vocab_size);
      if (wanted > 0) write_top(min(wanted, kTopScoresMax), best.logit, sum);
    }
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
