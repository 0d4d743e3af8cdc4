// How fast attention and the sampler are: microseconds, and the share of what plain reading, or the
// matrix units, reach on this device. Each figure is the median of replays of a graph of calls over
// rotating layers that together are several times the L2. `attention profile` runs one call of each
// shape for a profiler instead.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kernels/block.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/sampler.h"

namespace sluice {
namespace {

constexpr uint64_t kRotatingBytes = 512u << 20;
constexpr int kReplays = 15;
constexpr double kMatrixTflops = 781;  // cuBLAS bf16 8192^3 on an H200

#define REQUIRE_CUDA(expression)                                                  \
  do {                                                                            \
    const cudaError_t result = (expression);                                      \
    if (result != cudaSuccess) {                                                  \
      std::printf("%s:%d: %s\n", __FILE__, __LINE__, cudaGetErrorString(result)); \
      std::exit(1);                                                               \
    }                                                                             \
  } while (0)

void require(const Status& status) {
  if (status.is_ok()) return;
  std::printf("%s\n", status.message().c_str());
  std::exit(1);
}

bool is_profile = false;

// bf16 values of both signs near 1, or float32 logits, as bits.
__global__ void fill_kernel(uint32_t* words, uint64_t count, uint32_t keep, uint32_t set) {
  const uint64_t stride = uint64_t{gridDim.x} * blockDim.x;
  for (uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    words[i] = (static_cast<uint32_t>(z ^ (z >> 31)) & keep) | set;
  }
}

// About normal logits: the sum of four uniforms.
__global__ void logits_kernel(float* logits, uint64_t count) {
  const uint64_t stride = uint64_t{gridDim.x} * blockDim.x;
  for (uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z ^= z >> 27;
    float sum = 0;
    for (int part = 0; part < 4; ++part) {
      sum += static_cast<float>(z >> (part * 16) & 0xFFFF) * (1.0f / 65536) - 0.5f;
    }
    logits[i] = sum * 5;
  }
}

template <typename T>
T* device_memory(uint64_t count) {
  void* data = nullptr;
  REQUIRE_CUDA(cudaMalloc(&data, count * sizeof(T) + 256));
  REQUIRE_CUDA(cudaMemset(data, 0, count * sizeof(T) + 256));
  return static_cast<T*>(data);
}

uint16_t* random_bf16(uint64_t count) {
  auto* data = device_memory<uint16_t>(count);
  fill_kernel<<<2048, 256>>>(
      reinterpret_cast<uint32_t*>(data), count / 2, 0x80FF80FFu, 0x3F003F00u);
  REQUIRE_CUDA(cudaDeviceSynchronize());
  return data;
}

template <typename T>
T* copied(const std::vector<T>& values) {
  auto* data = device_memory<T>(values.size());
  REQUIRE_CUDA(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return data;
}

cudaStream_t stream() {
  static cudaStream_t made = [] {
    cudaStream_t fresh = nullptr;
    REQUIRE_CUDA(cudaStreamCreateWithFlags(&fresh, cudaStreamNonBlocking));
    return fresh;
  }();
  return made;
}

// Median microseconds of one replay of what `record` launches.
double time_us(const std::function<void()>& record) {
  record();
  REQUIRE_CUDA(cudaStreamSynchronize(stream()));
  if (is_profile) return 1;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  REQUIRE_CUDA(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
  record();
  REQUIRE_CUDA(cudaStreamEndCapture(stream(), &graph));
  REQUIRE_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  REQUIRE_CUDA(cudaEventCreate(&begin));
  REQUIRE_CUDA(cudaEventCreate(&end));
  std::vector<float> times;
  for (int i = 0; i < kReplays; ++i) {
    REQUIRE_CUDA(cudaEventRecord(begin, stream()));
    REQUIRE_CUDA(cudaGraphLaunch(executable, stream()));
    REQUIRE_CUDA(cudaEventRecord(end, stream()));
    REQUIRE_CUDA(cudaStreamSynchronize(stream()));
    float ms = 0;
    REQUIRE_CUDA(cudaEventElapsedTime(&ms, begin, end));
    times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  return times[times.size() / 2] * 1e3;
}

__global__ void read_kernel(const uint4* from, uint64_t count, uint32_t* out) {
  uint32_t sum = 0;
  const uint64_t stride = uint64_t{gridDim.x} * blockDim.x;
  uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (; i + 3 * stride < count; i += 4 * stride) {
    const uint4 a = __ldcs(from + i);
    const uint4 b = __ldcs(from + i + stride);
    const uint4 c = __ldcs(from + i + 2 * stride);
    const uint4 d = __ldcs(from + i + 3 * stride);
    sum += a.x ^ b.y ^ c.z ^ d.w;
  }
  if (sum == 0x12345678) *out = sum;
}

double read_bandwidth() {
  constexpr uint64_t kBytes = uint64_t{8} << 30;
  auto* data = reinterpret_cast<uint4*>(random_bf16(kBytes / 2));
  auto* out = device_memory<uint32_t>(1);
  const double us =
      time_us([&] { read_kernel<<<132 * 16, 512, 0, stream()>>>(data, kBytes / 16, out); });
  REQUIRE_CUDA(cudaFree(data));
  return static_cast<double>(kBytes) / us * 1e-6;  // TB/s
}

struct Model {
  const char* name;
  PagedAttentionShape shape;
};
constexpr Model k8b = {"8B", {32, 8, 128}};
constexpr Model k1b = {"1.1B", {32, 4, 64}};

struct Work {
  Model model;
  uint32_t sequences;
  uint32_t context;  // before the step
  uint32_t query;    // 1: decode
};

// Layers' pools, and the step that walks them.
class AttentionBench {
 public:
  explicit AttentionBench(const Work& work) : work_(work) {
    const PagedAttentionShape& shape = work.model.shape;
    const uint32_t blocks = (work.context + work.query + kBlockTokens - 1) / kBlockTokens;
    const uint64_t elements =
        uint64_t{work.sequences} * blocks * kBlockTokens * shape.kv_heads * shape.head_dim;
    layers_ =
        is_profile
            ? 1
            : static_cast<uint32_t>(std::clamp<uint64_t>(kRotatingBytes / (elements * 4), 2, 32));
    for (uint32_t i = 0; i < layers_; ++i) {
      keys_.push_back(random_bf16(elements));
      values_.push_back(random_bf16(elements));
    }
    make_step(blocks);
    const uint32_t rows = work.sequences * work.query;
    args_.shape = shape;
    args_.q_stride = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
    args_.out_stride = shape.heads * shape.head_dim;
    args_.q = random_bf16(uint64_t{rows} * args_.q_stride);
    args_.out = device_memory<uint16_t>(uint64_t{rows} * args_.out_stride);
    const uint32_t decode_rows = std::max(1u, step_.decode_sequences);
    const uint64_t tokens = uint64_t{work.sequences} * (work.context + 1);
    const size_t bytes = attention_scratch_bytes(shape, decode_rows, tokens);
    args_.scratch = {device_memory<uint8_t>(bytes), bytes, decode_rows};
    require(prepare_attention(shape));
    REQUIRE_CUDA(cudaDeviceSynchronize());
  }

  ~AttentionBench() {
    for (uint16_t* data : keys_) cudaFree(data);
    for (uint16_t* data : values_) cudaFree(data);
  }

  // Of one call; with `place`, which the decode kernel does itself where `is_one`.
  double us(bool places = false, bool is_one = false) {
    PlaceArgs placing;
    placing.qkv = const_cast<uint16_t*>(args_.q);
    placing.heads = args_.shape.heads;
    placing.kv_heads = args_.shape.kv_heads;
    placing.head_dim = args_.shape.head_dim;
    if (places) {
      placing.rope = device_memory<float>(uint64_t{work_.context + 1} * placing.head_dim);
    }
    const uint32_t calls = std::max(layers_, is_profile ? 1u : 8u);
    const double all = time_us([&] {
      require(plan_attention(step_, args_.shape, args_.scratch, stream()));
      for (uint32_t i = 0; i < calls; ++i) {
        args_.keys = keys_[i % layers_];
        args_.values = values_[i % layers_];
        placing.keys = keys_[i % layers_];
        placing.values = values_[i % layers_];
        args_.place = places && is_one ? placing : PlaceArgs{};
        if (places && !is_one) require(place(placing, step_, stream()));
        require(attend(args_, step_, stream()));
      }
    });
    return all / calls;
  }

 private:
  void make_step(uint32_t blocks) {
    std::vector<int32_t> contexts, slots, starts{0}, tables;
    for (uint32_t s = 0; s < work_.sequences; ++s) {
      contexts.push_back(static_cast<int32_t>(work_.context));
      slots.push_back(static_cast<int32_t>(s));
      starts.push_back(static_cast<int32_t>((s + 1) * work_.query));
      // Neighbours in the pool belong to different sequences.
      for (uint32_t b = 0; b < blocks; ++b) {
        tables.push_back(static_cast<int32_t>(b * work_.sequences + s));
      }
    }
    step_.rows = work_.sequences * work_.query;
    step_.sequences = work_.sequences;
    step_.decode_sequences = work_.query == 1 ? work_.sequences : 0;
    step_.seq_context = copied(contexts);
    step_.seq_slot = copied(slots);
    step_.row_slot = step_.seq_slot;  // of decode rows, which have a sequence each
    step_.row_position = step_.seq_context;
    step_.seq_query_start = copied(starts);
    step_.block_tables = copied(tables);
    step_.blocks_per_sequence_max = blocks;
    if (work_.query > 1) {
      args_.prefill_tiles = work_.sequences * prefill_tiles(work_.query, work_.model.shape);
    }
  }

  Work work_;
  uint32_t layers_ = 0;
  std::vector<uint16_t*> keys_, values_;
  StepBatch step_;
  PagedAttentionArgs args_;
};

void report_decode(const Work& work, double bandwidth) {
  const double us = AttentionBench(work).us();
  const PagedAttentionShape& shape = work.model.shape;
  const double bytes = 4.0 * work.sequences * (work.context + 1) * shape.kv_heads * shape.head_dim;
  const double rate = bytes / us * 1e-6;
  std::printf("decode  %-5s batch %4u context %6u  %9.2f us  %6.3f TB/s  %5.1f %% of reading\n",
              work.model.name,
              work.sequences,
              work.context,
              us,
              rate,
              100 * rate / bandwidth);
  std::fflush(stdout);
}

void report_placing(const Work& work) {
  AttentionBench bench(work);
  const double two = bench.us(true, false);
  const double one = bench.us(true, true);
  std::printf("place and attend %-5s batch %4u context %6u  two kernels %7.2f us  one %7.2f us\n",
              work.model.name,
              work.sequences,
              work.context,
              two,
              one);
  std::fflush(stdout);
}

void report_prefill(const Work& work) {
  const double us = AttentionBench(work).us();
  const PagedAttentionShape& shape = work.model.shape;
  double seen = 0;
  for (uint32_t t = 0; t < work.query; ++t) seen += work.context + t + 1;
  const double flop = 4.0 * shape.heads * shape.head_dim * seen * work.sequences;
  const double rate = flop / us * 1e-6;
  std::printf("prefill %-5s %u x %5u after %6u     %9.2f us  %6.1f TFLOP/s  %5.1f %% of cuBLAS\n",
              work.model.name,
              work.sequences,
              work.query,
              work.context,
              us,
              rate,
              100 * rate / kMatrixTflops);
  std::fflush(stdout);
}

struct SamplerWork {
  const char* name;
  uint32_t rows;
  uint32_t vocab;
  float temperature;
  uint32_t top_k;
  float top_p;
  int32_t logprobs;
  bool has_penalties;
};

void report_sampler(const SamplerWork& work) {
  constexpr uint32_t kSets = 4;
  const uint64_t count = uint64_t{work.rows} * work.vocab;
  std::vector<SampleRow> rows(work.rows);
  for (uint32_t i = 0; i < work.rows; ++i) {
    rows[i].slot = static_cast<int32_t>(i);
    rows[i].temperature = work.temperature;
    rows[i].top_k = work.top_k;
    rows[i].top_p = work.top_p;
    rows[i].min_p_log = -HUGE_VAL;
    rows[i].seed = i * 77 + 1;
    rows[i].logprobs = work.logprobs;
    rows[i].has_penalties = work.has_penalties ? 1 : 0;
    rows[i].presence_penalty = 0.5f;
  }
  SamplerArgs args;
  args.logits_stride = work.vocab;
  args.vocab_size = work.vocab;
  args.rows = work.rows;
  args.sampling = copied(rows);
  args.biases = device_memory<TokenBias>(1);
  args.cells = device_memory<uint16_t>(count);
  args.last_token = device_memory<int32_t>(work.rows);
  args.sampled = device_memory<SampledRow>(work.rows);
  args.top = device_memory<ScoredId>(work.rows * kTopScoresMax);
  float* sets[kSets];
  for (float*& set : sets) {
    set = device_memory<float>(count);
    logits_kernel<<<2048, 256>>>(set, count);
  }
  require(prepare_sampler(work.vocab));
  REQUIRE_CUDA(cudaDeviceSynchronize());
  const double us = time_us([&] {
                      for (float* set : sets) {
                        args.logits = set;
                        require(sample(args, stream()));
                      }
                    }) /
                    kSets;
  std::printf("sampler %-28s rows %4u vocab %6u  %8.2f us  %6.3f TB/s\n",
              work.name,
              work.rows,
              work.vocab,
              us,
              static_cast<double>(count) * 4 / us * 1e-6);
  std::fflush(stdout);
  for (float* set : sets) cudaFree(set);
  cudaFree(args.cells);
}

void run_all() {
  const double bandwidth = is_profile ? 1 : read_bandwidth();
  std::printf("reading 8 GiB: %.2f TB/s\n", bandwidth);
  for (const SamplerWork& work : {
           SamplerWork{"greedy", 1, 128256, 0, 0, 1, -1, false},
           SamplerWork{"greedy", 1, 32000, 0, 0, 1, -1, false},
           SamplerWork{"greedy", 128, 128256, 0, 0, 1, -1, false},
           SamplerWork{"greedy", 256, 32000, 0, 0, 1, -1, false},
           SamplerWork{"temperature", 1, 128256, 1, 0, 1, -1, false},
           SamplerWork{"temperature", 128, 128256, 1, 0, 1, -1, false},
           SamplerWork{"top-k 50, top-p 0.9", 1, 128256, 1, 50, 0.9f, -1, false},
           SamplerWork{"top-p 0.9", 128, 128256, 1, 0, 0.9f, -1, false},
           SamplerWork{"top-p 0.9, temperature 0.7", 128, 128256, 0.7f, 0, 0.9f, -1, false},
           SamplerWork{"top-k 50", 128, 128256, 1, 50, 1, -1, false},
           SamplerWork{"top-k 50, top-p 0.9", 128, 128256, 1, 50, 0.9f, -1, false},
           SamplerWork{"temperature, 5 logprobs", 128, 128256, 1, 0, 1, 5, false},
           SamplerWork{"all, 5 logprobs, penalties", 128, 128256, 1, 50, 0.9f, 5, true},
       }) {
    report_sampler(work);
  }
  for (const Work& work : {Work{k8b, 1, 300, 1},
                           Work{k8b, 1, 1024, 1},
                           Work{k8b, 1, 8192, 1},
                           Work{k8b, 1, 65536, 1},
                           Work{k8b, 8, 1024, 1},
                           Work{k8b, 32, 2048, 1},
                           Work{k8b, 64, 1024, 1},
                           Work{k8b, 128, 1024, 1},
                           Work{k8b, 256, 200, 1},
                           Work{k8b, 256, 1024, 1},
                           Work{k1b, 1, 300, 1},
                           Work{k1b, 1, 1024, 1},
                           Work{k1b, 64, 1024, 1},
                           Work{k1b, 256, 200, 1}}) {
    report_decode(work, bandwidth);
  }
  for (const Work& work :
       {Work{k8b, 1, 300, 1}, Work{k1b, 1, 300, 1}, Work{k8b, 8, 300, 1}, Work{k8b, 256, 200, 1}}) {
    report_placing(work);
  }
  for (const Work& work : {Work{k8b, 1, 0, 512},
                           Work{k8b, 1, 0, 2048},
                           Work{k8b, 4, 0, 2048},
                           Work{k8b, 1, 0, 8192},
                           Work{k8b, 1, 7168, 1024},
                           Work{k1b, 4, 0, 2048},
                           Work{k8b, 20, 0, 100}}) {
    report_prefill(work);
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::is_profile = argc > 1 && std::strcmp(argv[1], "profile") == 0;
  sluice::run_all();
  return 0;
}
