// A fixed set of threads that work through one range together, again and again. The caller is
// worker 0. Between ranges a worker spins for a bounded time and then sleeps in the kernel, so that
// a step's many small ranges cost about a microsecond each and an idle server costs nothing.
//
// Workers take parts of a range as they become free, and one that comes late, because another
// process has its core, is not waited for. Who computes a part never changes what is computed.
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

  // Calls work(part, worker) until the parts have covered [0, total) once, and returns when all
  // calls have. Parts are multiples of `grain` but the last. One caller at a time, and not from
  // within work.
  template <typename Work>
  void run(uint32_t total, uint32_t grain, const Work& work) {
    run_piece({&call<Work>, &work, total, grain});
  }

 private:
  struct Piece {
    void (*call)(const void* work, WorkRange part, uint32_t worker);
    const void* work;
    uint32_t total;
    uint32_t grain;
  };

  template <typename Work>
  static void call(const void* work, WorkRange part, uint32_t worker) {
    (*static_cast<const Work*>(work))(part, worker);
  }

  void run_piece(const Piece& piece);
  void take_parts(uint32_t worker);
  bool take_part(WorkRange* part);
  bool join();
  void leave();
  void work_until_closed(uint32_t worker);

  // The piece is written while the gate is shut and nobody is in; it stays until that is so again.
  Piece piece_{};
  std::atomic<uint32_t> next_{0};   // where the piece's untaken part begins
  std::atomic<uint32_t> gate_;      // kShut, plus how many workers are in
  std::atomic<uint32_t> round_{0};  // counts pieces, for waiting; it wraps harmlessly
  std::atomic<bool> closed_{false};
  std::vector<std::thread> workers_;
};

}  // namespace sluice
