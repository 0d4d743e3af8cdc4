// Pieces are published behind a gate: workers enter while it is open, the caller shuts it when no
// part is left and waits only for those inside.
#include "runtime/thread_pool.h"

#include <algorithm>
#include <system_error>

#include "runtime/flush_denormals.h"

namespace sluice {
namespace {

// About 50 us of pauses: longer than the gap between two pieces of a step, and short enough to give
// the core back when another process wants it.
constexpr uint32_t kSpins = 2000;

constexpr uint32_t kShut = uint32_t{1} << 31;

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

ThreadPool::ThreadPool(uint32_t threads) : gate_(kShut) {
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

void ThreadPool::run_piece(const Piece& piece) {
  if (workers_.empty() || piece.total <= piece.grain) {
    if (piece.total > 0) piece.call(piece.work, {0, piece.total}, 0);
    return;
  }
  piece_ = piece;
  next_.store(0, std::memory_order_relaxed);
  gate_.store(0, std::memory_order_release);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  take_parts(0);
  uint32_t inside = gate_.fetch_or(kShut, std::memory_order_acq_rel) | kShut;
  while (inside != kShut) {
    wait_while(gate_, inside);
    inside = gate_.load(std::memory_order_acquire);
  }
}

void ThreadPool::take_parts(uint32_t worker) {
  WorkRange part{};
  while (take_part(&part)) piece_.call(piece_.work, part, worker);
}

// Parts shrink towards the end, so that all workers finish at about the same time.
bool ThreadPool::take_part(WorkRange* part) {
  uint32_t begin = next_.load(std::memory_order_relaxed);
  while (begin < piece_.total) {
    const uint32_t left = piece_.total - begin;
    const uint32_t share = left / (2 * threads()) / piece_.grain * piece_.grain;
    const uint32_t end = begin + std::min(left, std::max(share, piece_.grain));
    if (next_.compare_exchange_weak(begin, end, std::memory_order_relaxed)) {
      *part = {begin, end};
      return true;
    }
  }
  return false;
}

bool ThreadPool::join() {
  uint32_t gate = gate_.load(std::memory_order_relaxed);
  while ((gate & kShut) == 0) {
    if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void ThreadPool::leave() {
  if (gate_.fetch_sub(1, std::memory_order_release) == (kShut | 1)) gate_.notify_one();
}

void ThreadPool::work_until_closed(uint32_t worker) {
  const FlushDenormals flush;
  uint32_t seen = 0;
  while (!closed_.load(std::memory_order_relaxed)) {
    wait_while(round_, seen);
    // Read before joining: a piece that begins after this is seen as a new round again.
    seen = round_.load(std::memory_order_acquire);
    if (!join()) continue;
    take_parts(worker);
    leave();
  }
}

}  // namespace sluice
