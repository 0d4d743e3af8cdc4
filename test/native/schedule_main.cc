// Microseconds that a step costs the engine itself: planning, batching and handing out, with a
// backend that computes nothing. `warm` runs step after step; `cold` has the caches' contents
// replaced between launch and collect, as the milliseconds of a device's step do.
//
//   schedule [SEQUENCES]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <vector>

#include "engine/core.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kPromptTokens = 100;
constexpr uint32_t kOutputTokens = 200;
constexpr size_t kCoolingBytes = 64 << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Draws id 1 for everybody. Its own time is noted, and is no part of the engine's.
class IdleBackend : public Backend {
 public:
  explicit IdleBackend(bool cools) : cooling_(cools ? kCoolingBytes : 0) {
    info_.vocab_size = 32'000;
    info_.context_tokens_max = 4096;
    info_.kv_bytes_per_block = 1;
    info_.runs_ahead = true;
  }

  const BackendInfo& info() const override { return info_; }
  Status reserve(uint32_t, uint32_t, uint32_t) override { return Status::ok(); }
  Status save_block(uint32_t, void*) override { return Status::ok(); }
  Status load_block(uint32_t, const void*) override { return Status::ok(); }

  Status launch(const Batch& batch) override {
    launched_.push_back(batch.sequences.size());
    return Status::ok();
  }

  Status collect(StepResult* result) override {
    const auto start = Clock::now();
    for (size_t i = 0; i < cooling_.size(); i += 64) ++cooling_[i];
    result->sequences.clear();
    result->sequences.resize(launched_.front());
    for (SequenceResult& sequence : result->sequences) sequence.sampled.id = 1;
    launched_.pop_front();
    seconds += seconds_since(start);
    return Status::ok();
  }

  double seconds = 0;

 private:
  BackendInfo info_;
  std::deque<size_t> launched_;
  std::vector<uint8_t> cooling_;
};

void submit_all(Core* core, uint32_t sequences) {
  for (uint32_t i = 0; i < sequences; ++i) {
    Submission s;
    s.handle = i + 1;
    s.prompt.assign(kPromptTokens, i);
    s.max_tokens = kOutputTokens;
    s.ignore_eos = true;
    s.arrived_at_ms = 1000 + i / 16;
    core->submit(std::move(s));
  }
}

// The median step of one run of all sequences.
double step_us(uint32_t sequences, bool cools) {
  IdleBackend backend(cools);
  EngineLimits limits;
  limits.sequences_max = sequences;
  limits.batch_tokens_max = std::max(8192U, sequences + 1);
  limits.blocks = sequences * blocks_for(kPromptTokens + kOutputTokens + kBlockTokens);
  Core core(&backend, limits, {}, PrefixKey{1, 2});
  submit_all(&core, sequences);
  std::vector<double> steps;
  while (core.has_work()) {
    backend.seconds = 0;
    const auto start = Clock::now();
    StepReport report;
    SLUICE_CHECK(core.step(2000, &report).is_ok());
    report.entries.clear();
    steps.push_back(seconds_since(start) - backend.seconds);
  }
  std::sort(steps.begin(), steps.end());
  return steps[steps.size() / 2] * 1e6;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  const auto sequences = static_cast<uint32_t>(argc > 1 ? std::atoi(argv[1]) : 256);
  if (sequences == 0) return 2;
  std::printf("{\"sequences\":%u,\"warm_us\":%.1f,\"cold_us\":%.1f}\n",
              sequences,
              sluice::step_us(sequences, false),
              sluice::step_us(sequences, true));
  return 0;
}
