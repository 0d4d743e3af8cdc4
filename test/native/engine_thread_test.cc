// The engine's thread: what crosses it, its bounds, and its end in the middle of work.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "check.h"
#include "core_rig.h"
#include "engine/engine.h"

namespace sluice {
namespace {

const EngineLimits kLimits = {
    .sequences_max = 4, .batch_tokens_max = 64, .waiting_max = 8, .blocks = 64};

std::unique_ptr<Engine> open_engine(std::unique_ptr<fake::FakeBackend> backend,
                                    const EngineLimits& limits = kLimits) {
  std::unique_ptr<Engine> engine;
  CHECK(Engine::open(std::move(backend), limits, {}, &engine).is_ok());
  return engine;
}

// Reads what the engine packs, and waits for ends.
class Receiver {
 public:
  EngineCallbacks callbacks(Engine* engine) {
    return {.step =
                [this, engine](std::vector<uint32_t> words) {
                  read(words);
                  engine->step_read();
                },
            .lost =
                [this](std::string message) {
                  const std::lock_guard lock(mutex_);
                  lost_ = std::move(message);
                  changed_.notify_all();
                }};
  }

  bool wait_for_end(uint32_t handle) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(
        lock, std::chrono::seconds(20), [&] { return finishes_[handle] != 0; });
  }
  bool wait_for_loss() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return !lost_.empty(); });
  }
  std::vector<uint32_t> ids(uint32_t handle) {
    const std::lock_guard lock(mutex_);
    return ids_[handle];
  }
  uint32_t finish(uint32_t handle) {
    const std::lock_guard lock(mutex_);
    return finishes_[handle];
  }

 private:
  // These sequences ask for no scores, so an entry is its seven words and its ids.
  void read(const std::vector<uint32_t>& words) {
    const std::lock_guard lock(mutex_);
    size_t at = kStepHeaderWords;
    for (uint32_t i = 0; i < words[3]; ++i) {
      const uint32_t handle = words[at];
      finishes_[handle] = words[at + 1];
      const auto first = words.begin() + static_cast<ptrdiff_t>(at + kStepEntryWords);
      ids_[handle].insert(ids_[handle].end(), first, first + words[at + 4]);
      at += kStepEntryWords + words[at + 4];
    }
    CHECK_EQ(at, words.size());
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint32_t, std::vector<uint32_t>> ids_;
  std::map<uint32_t, uint32_t> finishes_;
  std::string lost_;
};

Submission with_handle(uint32_t handle, uint32_t max_tokens) {
  Submission submission = make_submission(20, max_tokens, handle);
  submission.handle = handle;
  return submission;
}

TEST("threads may submit side by side, and each sequence gives its solo run") {
  auto engine = open_engine(std::make_unique<fake::FakeBackend>(true));
  Receiver receiver;
  engine->start(receiver.callbacks(engine.get()));
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 20; ++i) {
        const uint32_t handle = t * 100 + i + 1;
        while (engine->submit(with_handle(handle, 12)) == Refusal::kQueueFull) {
          std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t t = 0; t < 3; ++t) {
    for (uint32_t i = 0; i < 20; ++i) {
      const uint32_t handle = t * 100 + i + 1;
      CHECK(receiver.wait_for_end(handle));
      CHECK(receiver.ids(handle) == fake::solo_run(with_handle(handle, 12), {}).ids);
    }
  }
  CHECK_EQ(engine->stats().running + engine->stats().waiting, 0U);
  CHECK_EQ(engine->stats().blocks_free, kLimits.blocks);
}

TEST("the queue is bounded, handles are unique while live, and a stopped engine is closed") {
  auto engine = open_engine(std::make_unique<fake::FakeBackend>(false));
  // Not started: nothing leaves the inbox.
  for (uint32_t i = 1; i <= 12; ++i) CHECK_EQ(engine->submit(with_handle(i, 4)), Refusal::kNone);
  CHECK_EQ(engine->submit(with_handle(1, 4)), Refusal::kInvalid);
  CHECK_EQ(engine->submit(with_handle(13, 4)), Refusal::kQueueFull);
  CHECK_EQ(engine->stats().waiting, 12U);
  engine->stop();
  CHECK_EQ(engine->submit(with_handle(14, 4)), Refusal::kClosed);
  engine->stop();
}

TEST("the engine holds its next step while the receiver lags, and goes on when it reads") {
  auto engine = open_engine(std::make_unique<fake::FakeBackend>(false));
  std::atomic<uint32_t> steps = 0;
  engine->start({.step = [&](std::vector<uint32_t>) { ++steps; }, .lost = [](std::string) {}});
  CHECK_EQ(engine->submit(with_handle(1, 200)), Refusal::kNone);
  const auto wait_for = [&](uint32_t wanted) {
    for (int i = 0; i < 2000 && steps < wanted; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    // Time enough for a step too many.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return steps.load();
  };
  CHECK_EQ(wait_for(kStepsUnreadMax), kStepsUnreadMax);
  for (int i = 0; i < 3; ++i) engine->step_read();
  CHECK_EQ(wait_for(kStepsUnreadMax + 3), kStepsUnreadMax + 3);
  // Stopping must not wait for a receiver that reads no more.
  engine->stop();
}

TEST("a stop in the middle of work ends after the running step") {
  for (int round = 0; round < 30; ++round) {
    auto engine = open_engine(std::make_unique<fake::FakeBackend>(round % 2 == 0));
    Receiver receiver;
    engine->start(receiver.callbacks(engine.get()));
    for (uint32_t i = 1; i <= 8; ++i) engine->submit(with_handle(i, 200));
    std::this_thread::sleep_for(std::chrono::microseconds(round * 50));
    engine->stop();
  }
}

TEST("cancels from another thread end each sequence once") {
  auto engine = open_engine(std::make_unique<fake::FakeBackend>(true));
  Receiver receiver;
  engine->start(receiver.callbacks(engine.get()));
  for (uint32_t i = 1; i <= 10; ++i) CHECK_EQ(engine->submit(with_handle(i, 200)), Refusal::kNone);
  for (uint32_t i = 1; i <= 10; ++i) {
    engine->cancel(i);
    engine->cancel(i);
    engine->cancel(i + 1000);
  }
  for (uint32_t i = 1; i <= 10; ++i) CHECK(receiver.wait_for_end(i));
  CHECK_EQ(engine->stats().blocks_free, kLimits.blocks);
}

TEST("a lost device is told once, and the engine takes nothing more") {
  auto backend = std::make_unique<fake::FakeBackend>(true);
  backend->fail_at_launch = 5;
  auto engine = open_engine(std::move(backend));
  Receiver receiver;
  engine->start(receiver.callbacks(engine.get()));
  CHECK_EQ(engine->submit(with_handle(1, 200)), Refusal::kNone);
  CHECK(receiver.wait_for_loss());
  CHECK_EQ(receiver.finish(1), 0U);
  CHECK_EQ(engine->submit(with_handle(2, 4)), Refusal::kClosed);
}

TEST("limits that cannot work are refused at opening") {
  std::unique_ptr<Engine> engine;
  const auto open = [&](const EngineLimits& limits) {
    return Engine::open(std::make_unique<fake::FakeBackend>(false), limits, {}, &engine).code();
  };
  CHECK_EQ(open({.sequences_max = 4, .batch_tokens_max = 64}), StatusCode::kInvalid);
  CHECK_EQ(open({.sequences_max = 0, .blocks = 4}), StatusCode::kInvalid);
  CHECK_EQ(open({.sequences_max = 4, .batch_tokens_max = 4, .blocks = 4}), StatusCode::kInvalid);
}

}  // namespace
}  // namespace sluice
