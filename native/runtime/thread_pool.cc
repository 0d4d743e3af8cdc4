#include "runtime/thread_pool.h"

#include <system_error>

#include "runtime/flush_denormals.h"

namespace sluice {
namespace {

// About 50 us of pauses: longer than the gap between two pieces of a step, and short enough to give
// the core back when another process wants it.
constexpr uint32_t kSpins = 2000;

void pause_thread() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns when the value is no longer `old`.
void wait_while(const std::atomic<uint32_t>& value, uint32_t old) {
  for (uint32_t spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause_thread();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(uint32_t threads) {
  workers_.reserve(threads);
  for (uint32_t worker = 1; worker < threads; ++worker) {
    try {
      workers_.emplace_back([this, worker] { work_until_closed(worker); });
    } catch (const std::system_error&) {
      return;  // the system grants no more: fewer workers compute the same
    }
  }
}

ThreadPool::~ThreadPool() {
  closed_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

WorkRange ThreadPool::share(uint32_t total, uint32_t worker) const {
  const uint64_t parts = threads();
  return {static_cast<uint32_t>(total * uint64_t{worker} / parts),
          static_cast<uint32_t>(total * (uint64_t{worker} + 1) / parts)};
}

void ThreadPool::run_piece(const Piece& piece) {
  if (workers_.empty()) {
    piece.call(piece.work, 0);
    return;
  }
  piece_ = piece;
  pending_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  piece.call(piece.work, 0);
  while (true) {
    const uint32_t pending = pending_.load(std::memory_order_acquire);
    if (pending == 0) return;
    wait_while(pending_, pending);
  }
}

void ThreadPool::work_until_closed(uint32_t worker) {
  const FlushDenormals flush;
  uint32_t seen = 0;
  while (true) {
    wait_while(round_, seen);
    // A round is only begun when the one before is over, so none can be missed.
    seen += 1;
    if (closed_.load(std::memory_order_relaxed)) return;
    piece_.call(piece_.work, worker);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
  }
}

}  // namespace sluice
