// Threads that work on masks while the engine's own thread waits for the device. Work is taken in
// the order in which it was given; what is still waiting when the pool ends is dropped. The queue
// needs no bound of its own: a sequence has at most one piece of work in it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice {

class GrammarPool {
 public:
  // Threads start with the first work.
  explicit GrammarPool(uint32_t threads) : threads_(threads) {}
  ~GrammarPool();
  GrammarPool(const GrammarPool&) = delete;
  GrammarPool& operator=(const GrammarPool&) = delete;

  void run(std::function<void()> work);

 private:
  void work_until_closed();

  const uint32_t threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> waiting_;
  std::vector<std::thread> workers_;
  bool open_ = true;
};

}  // namespace sluice
