// The engine over the device: in deterministic mode each sequence gives the same bits alone, in a
// crowd, cut into chunks, after a prefix hit and after preemption; and minutes of random traffic
// leave every block accounted for. SLUICE_SOAK_SECONDS says how long.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "device_rig.h"
#include "engine/core.h"
#include "engine/submission.h"
#include "tiny_families.h"

namespace sluice {
namespace {

using check::TemporaryFolder;
using check::TinyBuilder;
using check::TinyModel;
using check::TinySpec;

constexpr uint32_t kSoakSecondsDefault = 20;
constexpr uint32_t kStepsMax = 200'000;

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint32_t operator()() { return static_cast<uint32_t>(engine_()); }

 private:
  std::mt19937 engine_;
};

struct CrowdOptions {
  uint32_t sequences_max = 16;
  uint32_t batch_tokens_max = 2048;
  uint32_t chunk_tokens_max = 0;
  uint32_t blocks = 512;
  uint32_t swap_blocks = 0;
  bool prefix_cache = false;
};

EngineLimits limits_of(const CrowdOptions& options) {
  EngineLimits limits;
  limits.sequences_max = options.sequences_max;
  limits.batch_tokens_max = options.batch_tokens_max;
  limits.chunk_tokens_max = options.chunk_tokens_max;
  limits.blocks = options.blocks;
  limits.swap_blocks = options.swap_blocks;
  limits.reserve_blocks = 0;
  limits.prefix_cache = options.prefix_cache;
  return limits;
}

// Lengths around blocks and pieces, shared beginnings, every way of drawing.
std::vector<Submission> submissions(uint32_t vocab, uint32_t count) {
  std::vector<Submission> all;
  Random random(7);
  const uint32_t lengths[] = {1, 15, 16, 17, 40, 255, 256, 257, 300, 520};
  for (uint32_t i = 0; i < count; ++i) {
    Submission s;
    s.handle = i + 1;
    const uint32_t length = lengths[i % std::size(lengths)];
    for (uint32_t t = 0; t < length; ++t) {
      s.prompt.push_back(t < 32 ? t * 3 % vocab : random() % vocab);
    }
    s.max_tokens = 24 + i % 13;
    s.ignore_eos = true;
    s.sampling.temperature = i % 3 == 0 ? 0.0f : 0.8f;
    s.sampling.seed = i;
    s.sampling.logprobs = i % 2 == 0 ? 3 : 0;
    if (i % 4 == 1) s.sampling.top_p = 0.9f;
    if (i % 5 == 2) s.sampling.top_k = 8;
    if (i % 4 == 3) s.sampling.frequency_penalty = 0.7f;
    if (i % 6 == 5) s.biases = {{i % vocab, 1.5f}};
    all.push_back(std::move(s));
  }
  return all;
}

struct Outcome {
  std::map<uint32_t, std::string> bits;
  CoreCounts counts;
};

// Runs the submissions, each as soon as it may, or one after another has ended.
struct Traffic {
  const std::vector<Submission>& wanted;
  bool one_by_one = false;
};

void run_core(Backend* backend,
              const CrowdOptions& options,
              const Traffic& traffic,
              Outcome* outcome) {
  const EngineLimits limits = limits_of(options);
  REQUIRE(backend->reserve(limits.blocks, limits.sequences_max, limits.batch_tokens_max).is_ok());
  Core core(backend, limits, {}, PrefixKey{3, 4});
  const std::vector<Submission>& wanted = traffic.wanted;
  size_t next = 0;
  for (uint32_t steps = 0; (next < wanted.size() || core.has_work()) && steps < kStepsMax;
       ++steps) {
    const bool may_submit = !traffic.one_by_one || !core.has_work();
    if (next < wanted.size() && may_submit) core.submit(wanted[next++]);
    StepReport report;
    const Status status = core.step(steps, &report);
    if (!status.is_ok()) check::fail(__FILE__, __LINE__, status.message());
    REQUIRE(status.is_ok());
    core.check_invariants();
    for (const StepEntry& entry : report.entries) {
      for (const SampledToken& token : entry.logprobs) {
        check::put_bits(token, &outcome->bits[entry.sequence]);
      }
    }
  }
  CHECK(!core.has_work());
  CHECK_EQ(core.blocks_free(), limits.blocks);
  outcome->counts = core.counts();
}

Outcome run_folder(const TemporaryFolder& folder,
                   const CrowdOptions& options,
                   const Traffic& traffic) {
  Outcome outcome;
  const std::unique_ptr<Backend> backend = check::load_on_device(folder.path(), true);
  if (backend != nullptr) run_core(backend.get(), options, traffic, &outcome);
  return outcome;
}

void expect_same(const std::string& name, const Outcome& alone, const Outcome& found) {
  uint32_t different = 0;
  for (const auto& [handle, bits] : alone.bits) {
    const auto other = found.bits.find(handle);
    if (other == found.bits.end() || other->second != bits) ++different;
  }
  std::printf("  %s: %u of %zu differ (%llu preemptions, %llu hit tokens)\n",
              name.c_str(),
              different,
              alone.bits.size(),
              static_cast<unsigned long long>(found.counts.preemptions),
              static_cast<unsigned long long>(found.counts.prefix_hit_tokens));
  CHECK_EQ(different, 0U);
}

TEST("deterministic: alone and in a crowd, cut or whole, after a prefix hit or preemption") {
  for (const size_t family : {1, 5, 7}) {
    const auto [name, spec] = check::tiny_families()[family];
    const TemporaryFolder folder;
    check::write_folder(TinyBuilder(spec, 50).build(), folder);
    const std::vector<Submission> wanted = submissions(spec.vocab, 30);
    const Outcome alone = run_folder(folder, {}, {wanted, true});
    REQUIRE(alone.bits.size() == wanted.size());
    CrowdOptions options;
    expect_same(name + ", crowd", alone, run_folder(folder, options, {wanted}));
    options.chunk_tokens_max = 64;
    expect_same(name + ", chunks of 64", alone, run_folder(folder, options, {wanted}));
    options.chunk_tokens_max = 512;
    expect_same(name + ", chunks of 512", alone, run_folder(folder, options, {wanted}));
    options = {};
    options.prefix_cache = true;
    const Outcome cached = run_folder(folder, options, {wanted});
    expect_same(name + ", prefix cache", alone, cached);
    CHECK(cached.counts.prefix_hit_tokens > 0);
    options = {};
    options.blocks = 60;
    options.swap_blocks = 200;
    const Outcome preempted = run_folder(folder, options, {wanted});
    expect_same(name + ", preempted to the host", alone, preempted);
    CHECK(preempted.counts.preemptions > 0);
  }
}

class Soak {
 public:
  Soak(Backend* backend, uint32_t seconds) : backend_(backend), seconds_(seconds) {
    CrowdOptions options;
    options.sequences_max = 48;
    options.batch_tokens_max = 512;
    options.blocks = 300;
    options.swap_blocks = 300;
    options.prefix_cache = true;
    limits_ = limits_of(options);
  }

  void run() {
    REQUIRE(
        backend_->reserve(limits_.blocks, limits_.sequences_max, limits_.batch_tokens_max).is_ok());
    Core core(backend_, limits_, {1}, PrefixKey{5, 6});
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds_);
    while (std::chrono::steady_clock::now() < end || core.has_work()) {
      const bool is_open = std::chrono::steady_clock::now() < end;
      while (is_open && live_.size() < 90 && random_() % 3 != 0) submit(&core);
      if (random_() % 50 == 0 && !live_.empty()) core.cancel(live_.begin()->first);
      StepReport report;
      const Status status = core.step(now_ms_ += random_() % 50, &report);
      if (!status.is_ok()) check::fail(__FILE__, __LINE__, status.message());
      REQUIRE(status.is_ok());
      core.check_invariants();
      for (const StepEntry& entry : report.entries) take(entry, report.ids_of(entry));
    }
    CHECK(live_.empty());
    CHECK_EQ(core.blocks_free(), limits_.blocks);
    const CoreCounts& counts = core.counts();
    std::printf("  %u s: %llu steps, %llu requests, %llu tokens, %llu preemptions, %llu hits\n",
                seconds_,
                static_cast<unsigned long long>(counts.steps),
                static_cast<unsigned long long>(handles_),
                static_cast<unsigned long long>(tokens_),
                static_cast<unsigned long long>(counts.preemptions),
                static_cast<unsigned long long>(counts.prefix_hit_tokens));
    CHECK(counts.preemptions > 0);
    CHECK(counts.prefix_hit_tokens > 0);
  }

 private:
  void submit(Core* core) {
    Submission s;
    s.handle = ++handles_;
    const uint32_t vocab = backend_->info().vocab_size;
    const uint32_t shared = random_() % 4 * 16;
    for (uint32_t i = 0; i < shared; ++i) s.prompt.push_back(i * 7 % vocab);
    const uint32_t own = 1 + random_() % (random_() % 10 == 0 ? 400 : 60);
    for (uint32_t i = 0; i < own; ++i) s.prompt.push_back(random_() % vocab);
    s.max_tokens = 1 + random_() % 150;
    s.min_tokens = random_() % 3 == 0 ? random_() % 20 : 0;
    s.ignore_eos = random_() % 2 == 0;
    s.priority = static_cast<int32_t>(random_() % 3);
    s.arrived_at_ms = now_ms_;
    s.sampling.temperature = random_() % 3 == 0 ? 0.0f : 0.9f;
    s.sampling.seed = random_();
    if (random_() % 3 == 0) s.sampling.top_p = 0.8f;
    if (random_() % 4 == 0) s.sampling.repetition_penalty = 1.3f;
    if (random_() % 4 == 0) s.sampling.logprobs = 5;
    if (random_() % 8 == 0) s.sampling.prompt_logprobs = 2;
    if (random_() % 6 == 0) s.biases = {{random_() % vocab, -3.0f}};
    if (check_submission(s, backend_->info(), limits_) != Refusal::kNone) return;
    live_[s.handle] = s.max_tokens;
    core->submit(std::move(s));
  }

  void take(const StepEntry& entry, std::span<const uint32_t> ids) {
    const auto found = live_.find(entry.sequence);
    REQUIRE(found != live_.end());
    CHECK(ids.size() <= found->second);
    found->second -= static_cast<uint32_t>(ids.size());
    for (const uint32_t id : ids) CHECK(id < backend_->info().vocab_size);
    tokens_ += ids.size();
    if (entry.ending.finish != Finish::kNone) live_.erase(found);
  }

  Backend* const backend_;
  const uint32_t seconds_;
  EngineLimits limits_;
  Random random_{11};
  std::map<uint32_t, uint32_t> live_;  // by handle: tokens that may still come
  uint32_t handles_ = 0;
  uint64_t tokens_ = 0;
  uint64_t now_ms_ = 0;
};

TEST("soak: random traffic with cancels and preemption leaves every block accounted for") {
  std::string path = check::models_folder() + "/tales-11m";
  const TemporaryFolder folder;
  if (!std::filesystem::exists(path)) {
    check::write_folder(TinyBuilder(TinySpec(), 51).build(), folder);
    path = folder.path();
  }
  const std::unique_ptr<Backend> backend = check::load_on_device(path, false);
  REQUIRE(backend != nullptr);
  const char* seconds = std::getenv("SLUICE_SOAK_SECONDS");
  Soak(backend.get(),
       seconds == nullptr ? kSoakSecondsDefault : static_cast<uint32_t>(std::atoi(seconds)))
      .run();
}

}  // namespace
}  // namespace sluice
