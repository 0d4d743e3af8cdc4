// One queue, one condition: masks take tens of microseconds and more, so waking costs little.
#include "engine/grammar_pool.h"

#include <utility>

namespace sluice {

GrammarPool::~GrammarPool() {
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
    waiting_.clear();
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void GrammarPool::run(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(work));
    if (workers_.size() < threads_) workers_.emplace_back([this] { work_until_closed(); });
  }
  wake_.notify_one();
}

void GrammarPool::work_until_closed() {
  for (;;) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !open_ || !waiting_.empty(); });
      if (!open_) return;
      work = std::move(waiting_.front());
      waiting_.pop_front();
    }
    work();
  }
}

}  // namespace sluice
