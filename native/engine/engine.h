// The engine's thread and the two bounded ways in and out of it. Any thread may call in; results
// leave by one callback a step, on the engine's thread, which never waits for the receiver except
// that it holds its next step while kStepsUnreadMax results are unread.
//
//   submit, cancel ─▶ inbox (bounded by sequences_max + waiting_max live handles) ─▶ Core::step
//   receiver ◀─ one packed buffer a step (bounded by kStepsUnreadMax) ◀──────────────┘
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "engine/core.h"
#include "engine/submission.h"

namespace sluice {

struct EngineStats {
  uint32_t running = 0;
  uint32_t waiting = 0;
  uint32_t blocks_free = 0;
  uint32_t blocks = 0;
  CoreCounts counts;
  MaskSummary masks;
  uint64_t last_step_at_ms = 0;  // since the epoch; 0: none yet
};

struct EngineCallbacks {
  // Both on the engine's thread. Each call of `step` is answered by one call of step_read.
  std::function<void(std::vector<uint32_t> packed)> step;
  // At most once: the device failed; the engine takes nothing more.
  std::function<void(std::string message)> lost;
};

class Engine {
 public:
  // Takes all of the backend's memory by its reserve(), then starts the thread.
  static Status open(std::unique_ptr<Backend> backend,
                     const EngineLimits& limits,
                     std::vector<uint32_t> eos_ids,
                     std::unique_ptr<Engine>* engine);
  // Stops.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const BackendInfo& info() const { return backend_->info(); }
  const EngineLimits& limits() const { return limits_; }

  // Call once, before the first submit.
  void start(EngineCallbacks callbacks);
  Refusal submit(Submission submission);
  void cancel(uint32_t handle);
  // The receiver has taken one step's result.
  void step_read();
  EngineStats stats() const;
  // Idempotent, from any thread but the engine's: waits for the step that runs, then joins.
  // Sequences still live get no further entry.
  void stop();

 private:
  struct Inbox {
    std::vector<Submission> submissions;
    std::unordered_set<uint32_t> cancels;  // live handles only, so bounded as they are
  };

  Engine(std::unique_ptr<Backend> backend,
         const EngineLimits& limits,
         std::vector<uint32_t> eos_ids,
         PrefixKey prefix_secret);
  void run();
  // Waits for work; false: stop.
  bool take_inbox(Inbox* inbox);
  Status step();
  void publish(const StepReport& report, uint64_t now_ms);

  const std::unique_ptr<Backend> backend_;
  const EngineLimits limits_;
  Core core_;  // of the engine's thread alone, but for masks()
  EngineCallbacks callbacks_;
  std::thread thread_;
  std::mutex stop_mutex_;  // one joins, the others wait

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  Inbox inbox_;
  std::unordered_set<uint32_t> live_;  // handles not yet ended
  uint32_t steps_unread_ = 0;
  bool open_ = true;
  EngineStats stats_;
};

}  // namespace sluice
