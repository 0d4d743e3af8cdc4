// The loop: take the inbox, run a step, hand the result out. One mutex guards all that is shared,
// and is never held during a step.
#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "runtime/status.h"

namespace sluice {
namespace {

uint64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

// Decides no token, only which hash bucket a prefix falls into.
PrefixKey random_secret() {
  std::random_device random;
  const auto word = [&] { return (static_cast<uint64_t>(random()) << 32) | random(); };
  return {word(), word()};
}

}  // namespace

Status Engine::open(std::unique_ptr<Backend> backend,
                    const EngineLimits& limits,
                    std::vector<uint32_t> eos_ids,
                    std::unique_ptr<Engine>* engine) {
  if (limits.blocks == 0 || limits.sequences_max == 0) {
    return {StatusCode::kInvalid, "the engine needs at least one KV block and one sequence"};
  }
  if (limits.batch_tokens_max <= limits.sequences_max) {
    return {StatusCode::kInvalid,
            "batch tokens (" + std::to_string(limits.batch_tokens_max) +
                ") must exceed the sequences that run at once (" +
                std::to_string(limits.sequences_max) + ")"};
  }
  SLUICE_RETURN_IF_ERROR(
      backend->reserve(limits.blocks, limits.sequences_max, limits.batch_tokens_max));
  engine->reset(new Engine(std::move(backend), limits, std::move(eos_ids), random_secret()));
  return Status::ok();
}

Engine::Engine(std::unique_ptr<Backend> backend,
               const EngineLimits& limits,
               std::vector<uint32_t> eos_ids,
               PrefixKey prefix_secret)
    : backend_(std::move(backend)),
      limits_(limits),
      core_(backend_.get(), limits, std::move(eos_ids), prefix_secret) {
  stats_.blocks = limits.blocks;
  stats_.blocks_free = limits.blocks;
}

Engine::~Engine() {
  stop();
}

void Engine::start(EngineCallbacks callbacks) {
  SLUICE_CHECK(!thread_.joinable());
  callbacks_ = std::move(callbacks);
  thread_ = std::thread([this] { run(); });
}

Refusal Engine::submit(Submission submission) {
  const Refusal refusal = check_submission(submission, info(), limits_);
  const std::lock_guard lock(mutex_);
  if (!open_) return Refusal::kClosed;
  if (refusal != Refusal::kNone) return refusal;
  if (live_.contains(submission.handle)) return Refusal::kInvalid;
  const uint64_t live_max = static_cast<uint64_t>(limits_.sequences_max) + limits_.waiting_max;
  if (live_.size() >= live_max) return Refusal::kQueueFull;
  live_.insert(submission.handle);
  inbox_.submissions.push_back(std::move(submission));
  wake_.notify_one();
  return Refusal::kNone;
}

void Engine::cancel(uint32_t handle) {
  const std::lock_guard lock(mutex_);
  if (!live_.contains(handle)) return;
  inbox_.cancels.insert(handle);
  wake_.notify_one();
}

void Engine::step_read() {
  const std::lock_guard lock(mutex_);
  SLUICE_CHECK(steps_unread_ > 0);
  --steps_unread_;
  wake_.notify_one();
}

EngineStats Engine::stats() const {
  const MaskSummary masks = core_.masks();
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.masks = masks;
  const uint32_t live = static_cast<uint32_t>(live_.size());
  // What still lies in the inbox waits as well.
  stats.waiting = live - std::min(live, stats.running);
  return stats;
}

void Engine::stop() {
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
    wake_.notify_one();
  }
  const std::lock_guard lock(stop_mutex_);
  if (thread_.joinable()) thread_.join();
}

void Engine::run() {
  Inbox inbox;
  while (take_inbox(&inbox)) {
    for (Submission& submission : inbox.submissions) core_.submit(std::move(submission));
    // After the submissions: a cancel may be of one that came with them.
    for (const uint32_t handle : inbox.cancels) core_.cancel(handle);
    inbox.submissions.clear();
    inbox.cancels.clear();
    const Status status = core_.has_work() ? step() : Status::ok();
    if (status.is_ok()) continue;
    {
      const std::lock_guard lock(mutex_);
      open_ = false;
    }
    return callbacks_.lost(status.message());
  }
}

bool Engine::take_inbox(Inbox* inbox) {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] {
    if (!open_) return true;
    const bool has_work =
        core_.has_work() || !inbox_.submissions.empty() || !inbox_.cancels.empty();
    return has_work && steps_unread_ < kStepsUnreadMax;
  });
  std::swap(*inbox, inbox_);
  return open_;
}

Status Engine::step() {
  const uint64_t started_ms = now_ms();
  const auto started = std::chrono::steady_clock::now();
  StepReport report;
  SLUICE_RETURN_IF_ERROR(core_.step(started_ms, &report));
  const auto elapsed = std::chrono::steady_clock::now() - started;
  report.duration_us =
      static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count());
  publish(report, now_ms());
  callbacks_.step(pack_step(report));
  return Status::ok();
}

void Engine::publish(const StepReport& report, uint64_t at_ms) {
  const std::lock_guard lock(mutex_);
  for (const StepEntry& entry : report.entries) {
    if (entry.ending.finish != Finish::kNone) live_.erase(entry.sequence);
  }
  ++steps_unread_;
  stats_.running = report.running;
  stats_.blocks_free = report.blocks_free;
  stats_.counts = core_.counts();
  stats_.last_step_at_ms = at_ms;
}

}  // namespace sluice
