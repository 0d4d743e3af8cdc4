// The pool covers each range once, with any number of threads, also when it slept in between.
#include "runtime/thread_pool.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "check.h"
#include "runtime/cpu_count.h"
#include "runtime/flush_denormals.h"
#include "runtime/isa.h"

namespace sluice {
namespace {

TEST("a range is covered once, in parts that are multiples of the grain") {
  for (const uint32_t threads : {1u, 2u, 3u, 5u}) {
    ThreadPool pool(threads);
    CHECK_EQ(pool.threads(), threads);
    for (uint32_t total = 0; total < 300; total += 7) {
      for (const uint32_t grain : {1u, 2u, 64u}) {
        std::vector<std::atomic<uint32_t>> touched(total);
        std::atomic<uint32_t> crooked{0};
        pool.run(total, grain, [&](WorkRange part, uint32_t worker) {
          if (worker >= threads || part.begin % grain != 0) crooked += 1;
          if (part.end % grain != 0 && part.end != total) crooked += 1;
          for (uint32_t i = part.begin; i < part.end; ++i) touched[i] += 1;
        });
        CHECK_EQ(crooked.load(), 0u);
        for (const auto& count : touched) CHECK_EQ(count.load(), 1u);
      }
    }
  }
}

TEST("many small ranges follow each other without loss") {
  ThreadPool pool(3);
  uint64_t sum = 0;
  for (uint32_t round = 0; round < 20000; ++round) {
    std::atomic<uint64_t> part_sum{0};
    pool.run(10, 1, [&](WorkRange part, uint32_t) {
      for (uint32_t i = part.begin; i < part.end; ++i) part_sum += i;
    });
    sum += part_sum;
  }
  CHECK_EQ(sum, uint64_t{20000} * 45);
}

TEST("a pool that fell asleep wakes") {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<uint32_t> count{0};
    pool.run(8, 1, [&](WorkRange part, uint32_t) { count += part.end - part.begin; });
    CHECK_EQ(count.load(), 8u);
  }
}

TEST("denormals are zero while asked for, on every worker, and come back after") {
  volatile float tiny = 1e-39f;
  CHECK(tiny * 1.0f != 0);
  {
    const FlushDenormals flush;
    CHECK(tiny * 1.0f == 0);
    ThreadPool pool(3);
    std::atomic<uint32_t> kept{0};
    pool.run(64, 1, [&](WorkRange, uint32_t) { kept += tiny * 1.0f != 0; });
    CHECK_EQ(kept.load(), 0u);
  }
  CHECK(tiny * 1.0f != 0);
}

TEST("the instruction set can be asked for by name") {
  const char* before = std::getenv("SLUICE_ISA");
  const std::string kept = before == nullptr ? "" : before;
  Isa isa = Isa::kAvx2;
  ::setenv("SLUICE_ISA", "scalar", 1);
  CHECK(choose_isa(&isa).is_ok());
  CHECK(isa == Isa::kScalar);
  ::setenv("SLUICE_ISA", "mmx", 1);
  CHECK_EQ(choose_isa(&isa).code(), StatusCode::kInvalid);
  ::unsetenv("SLUICE_ISA");
  CHECK(choose_isa(&isa).is_ok());
  CHECK(has_isa(isa));
  if (before != nullptr) ::setenv("SLUICE_ISA", kept.c_str(), 1);
}

TEST("there is at least one core and a bound") {
  CHECK(usable_cores() >= 1);
  CHECK(usable_cores() <= kThreadsMax);
}

}  // namespace
}  // namespace sluice
