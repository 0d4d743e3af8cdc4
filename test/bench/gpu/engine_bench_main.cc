// The engine alone on a device: random weights, greedy, nothing but Core and the backend.
//
//   engine_bench MODEL FORMAT [WORK ...]      MODEL 8b | 1b, FORMAT bf16 | awq
//   WORK: ceilings, single, crowd32, crowd64, crowd256, prefill, all of them unless given; profile,
//   profile256
//
// One JSON object a line. `busy` is the share of a run in which the device worked on a step: the
// sum of all steps' own times over the run's.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "device_tools.h"
#include "engine/core.h"
#include "made_up_model.h"

namespace sluice::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Passes calls on and notes how long they take, so that the engine's own share is what is left.
class TimedBackend : public Backend {
 public:
  explicit TimedBackend(Backend* inner) : inner_(inner) {}

  const BackendInfo& info() const override { return inner_->info(); }
  Status reserve(uint32_t blocks, uint32_t sequences, uint32_t tokens) override {
    return inner_->reserve(blocks, sequences, tokens);
  }
  Status launch(const Batch& batch) override {
    const auto start = Clock::now();
    const Status status = inner_->launch(batch);
    launch_seconds += seconds_since(start);
    return status;
  }
  Status collect(StepResult* result) override {
    const auto start = Clock::now();
    const Status status = inner_->collect(result);
    collect_seconds += seconds_since(start);
    return status;
  }
  void pin(void* host, uint64_t bytes) override { inner_->pin(host, bytes); }
  Status save_block(uint32_t block, void* host) override {
    return inner_->save_block(block, host);
  }
  Status load_block(uint32_t block, const void* host) override {
    return inner_->load_block(block, host);
  }

  double launch_seconds = 0;
  double collect_seconds = 0;

 private:
  Backend* const inner_;
};

struct Work {
  std::string name;
  uint32_t requests;
  uint32_t prompt_tokens;
  uint32_t output_tokens;
  uint32_t sequences_max;
  uint32_t batch_tokens_max;
};

// For a profiler: kernel by kernel, without graphs, once. Only where it is asked for.
constexpr char kProfile[] = "profile";

bool is_for_profiler(const std::string& work) {
  return work.starts_with(kProfile);
}

// Prompts are filled in one large step each way; decode graphs go up to sequences_max.
const Work kWorks[] = {
    {"single", 1, 128, 256, 1, 2048},
    {"crowd32", 32, 100, 200, 32, 4096},
    {"crowd64", 64, 100, 200, 64, 8192},
    {"crowd256", 256, 100, 200, 256, 8192},
    {"prefill", 32, 2048, 1, 32, 8192},
    {kProfile, 1, 128, 8, 1, 2048},
    {"profile256", 256, 100, 4, 256, 8192},
};

Submission make_submission(const Work& work, uint32_t handle, uint32_t vocab) {
  Submission s;
  s.handle = handle;
  uint64_t state = handle * 0x9E3779B97F4A7C15u + 12345;
  for (uint32_t i = 0; i < work.prompt_tokens; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    s.prompt.push_back(static_cast<uint32_t>(state >> 33) % vocab);
  }
  s.max_tokens = work.output_tokens;
  s.ignore_eos = true;
  s.sampling.temperature = 0;
  return s;
}

struct Run {
  double seconds = 0;
  double decode_seconds = 0;  // from the first token on
  uint64_t tokens = 0;
  uint64_t decode_tokens = 0;
  uint64_t steps = 0;
  double schedule_us = 0;  // a step, without launch and collect
  double launch_us = 0;
  double busy = 0;
};

Status run_once(Core* core, TimedBackend* backend, const Work& work, Run* run) {
  *run = {};
  static uint32_t handles = 0;
  const uint32_t vocab = backend->info().vocab_size;
  const uint64_t steps_before = core->counts().steps;
  backend->launch_seconds = backend->collect_seconds = 0;
  for (uint32_t i = 0; i < work.requests; ++i) {
    core->submit(make_submission(work, ++handles, vocab));
  }
  const auto start = Clock::now();
  double first_seconds = 0;
  uint64_t first_tokens = 0;
  while (core->has_work()) {
    StepReport report;
    SLUICE_RETURN_IF_ERROR(core->step(0, &report));
    run->tokens += report.ids.size();
    if (first_seconds == 0 && run->tokens > 0) {
      first_seconds = seconds_since(start);
      first_tokens = run->tokens;
    }
  }
  run->seconds = seconds_since(start);
  run->decode_seconds = run->seconds - first_seconds;
  run->decode_tokens = run->tokens - first_tokens;
  run->steps = core->counts().steps - steps_before;
  const auto steps = static_cast<double>(run->steps);
  run->schedule_us =
      (run->seconds - backend->launch_seconds - backend->collect_seconds) / steps * 1e6;
  run->launch_us = backend->launch_seconds / steps * 1e6;
  return Status::ok();
}

Status run_work(const std::string& shape, const std::string& format, const Work& work) {
  std::unique_ptr<CudaModel> model;
  SLUICE_RETURN_IF_ERROR(make_model(shape, format, &model));
  const uint64_t weight_bytes = step_weight_bytes(*model);
  const double flops = token_flops(model->config);
  std::unique_ptr<Backend> backend;
  double busy_seconds = 0;
  const bool is_profile = is_for_profiler(work.name);
  model->graphs = !is_profile;
  model->on_step = [&](float milliseconds) { busy_seconds += milliseconds * 1e-3; };
  SLUICE_RETURN_IF_ERROR(make_cuda_backend(std::move(model), &backend));
  EngineLimits limits;
  limits.sequences_max = work.sequences_max;
  limits.batch_tokens_max = work.batch_tokens_max;
  limits.prefix_cache = false;
  const uint32_t tokens = work.prompt_tokens + work.output_tokens + 2 * kBlockTokens;
  limits.blocks = work.requests * (tokens / kBlockTokens) + 64;
  const auto opened = Clock::now();
  SLUICE_RETURN_IF_ERROR(
      backend->reserve(limits.blocks, limits.sequences_max, limits.batch_tokens_max));
  const double open_seconds = seconds_since(opened);
  TimedBackend timed(backend.get());
  Core core(&timed, limits, {}, PrefixKey{1, 2});
  Run run;
  std::vector<Run> runs;
  for (int i = is_profile ? 3 : 0; i < 4; ++i) {
    busy_seconds = 0;
    SLUICE_RETURN_IF_ERROR(run_once(&core, &timed, work, &run));
    run.busy = busy_seconds / run.seconds;
    if (i > 0) runs.push_back(run);
  }
  std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) {
    return a.seconds < b.seconds;
  });
  run = runs[runs.size() / 2];
  std::printf(
      "{\"model\":\"%s\",\"format\":\"%s\",\"work\":\"%s\",\"seconds\":%.4f,"
      "\"out_per_second\":%.1f,"
      "\"decode_per_second\":%.1f,\"prompt_per_second\":%.0f,\"steps\":%llu,\"busy\":%.4f,"
      "\"schedule_us\":%.1f,\"launch_us\":%.1f,\"open_seconds\":%.2f,\"weight_bytes\":%llu,"
      "\"prefill_flops\":%.4g,\"fastest\":%.4f,\"slowest\":%.4f}\n",
      shape.c_str(),
      format.c_str(),
      work.name.c_str(),
      run.seconds,
      static_cast<double>(run.tokens) / run.seconds,
      run.decode_seconds > 0 ? static_cast<double>(run.decode_tokens) / run.decode_seconds : 0,
      static_cast<double>(work.requests) * work.prompt_tokens / run.seconds,
      static_cast<unsigned long long>(run.steps),
      run.busy,
      run.schedule_us,
      run.launch_us,
      open_seconds,
      static_cast<unsigned long long>(weight_bytes),
      flops * work.prompt_tokens * work.requests / run.seconds,
      runs.front().seconds,
      runs.back().seconds);
  std::fflush(stdout);
  return Status::ok();
}

Status run_ceilings() {
  DeviceInfo info;
  SLUICE_RETURN_IF_ERROR(open_device(&info));
  Stream stream;
  SLUICE_RETURN_IF_ERROR(Stream::open(&stream));
  double bytes = 0;
  double flops = 0;
  SLUICE_RETURN_IF_ERROR(measure_read(stream.get(), &bytes));
  const Status gemm = measure_gemm(stream.get(), &flops);
  if (!gemm.is_ok()) std::fprintf(stderr, "%s\n", gemm.message().c_str());
  std::printf(
      "{\"device\":\"%s\",\"driver\":%d,\"read_bytes_per_second\":%.4g,\"gemm_flops\":%.4g}\n",
      info.name.c_str(),
      info.driver_version,
      bytes,
      flops);
  std::fflush(stdout);
  return Status::ok();
}

bool report(const std::string& name, const Status& status) {
  if (!status.is_ok()) std::printf("%s: FAILED: %s\n", name.c_str(), status.message().c_str());
  std::fflush(stdout);
  return status.is_ok();
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  if (argc < 3) {
    std::fprintf(stderr, "usage: engine_bench 8b|1b bf16|awq [WORK ...]\n");
    return 2;
  }
  const auto wanted = [&](const std::string& name) {
    if (argc == 3) return !is_for_profiler(name);
    return std::any_of(argv + 3, argv + argc, [&](const char* arg) { return name == arg; });
  };
  bool all = true;
  if (wanted("ceilings")) all = report("ceilings", run_ceilings());
  for (const Work& work : kWorks) {
    if (wanted(work.name)) all = report(work.name, run_work(argv[1], argv[2], work)) && all;
  }
  return all ? 0 : 1;
}
