// A fixed set of threads that run one piece of work together, again and again. The caller is worker
// 0. Between pieces a worker spins for a bounded time and then sleeps in the kernel, so that a
// step's many small pieces cost about a microsecond each and an idle server costs nothing.
//
// It splits nothing by itself: each worker asks `share` for its part, and how work is split never
// changes what is computed.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace sluice {

struct WorkRange {
  uint32_t begin;
  uint32_t end;
};

class ThreadPool {
 public:
  explicit ThreadPool(uint32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  uint32_t threads() const { return static_cast<uint32_t>(workers_.size()) + 1; }

  // Calls work(worker) once on each worker and returns when all have returned. One caller at a
  // time, and not from within a piece of work.
  template <typename Work>
  void run(const Work& work) {
    run_piece({&call<Work>, &work});
  }

  // A contiguous part of [0, total) for one worker.
  WorkRange share(uint32_t total, uint32_t worker) const;

 private:
  struct Piece {
    void (*call)(const void* work, uint32_t worker);
    const void* work;
  };

  template <typename Work>
  static void call(const void* work, uint32_t worker) {
    (*static_cast<const Work*>(work))(worker);
  }

  void run_piece(const Piece& piece);
  void work_until_closed(uint32_t worker);

  Piece piece_{};
  std::atomic<uint32_t> round_{0};    // counts pieces, and wraps harmlessly
  std::atomic<uint32_t> pending_{0};  // workers that have not finished this round
  std::atomic<bool> closed_{false};
  std::vector<std::thread> workers_;
};

}  // namespace sluice
