// How long the newest masks took to make: the work alone, whoever did it. Any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace sluice {

// Of so many masks the times are known; 4 bytes each.
inline constexpr uint32_t kMaskTimesKept = 4096;

struct MaskSummary {
  uint64_t count = 0;  // since the start
  double p50_us = 0;   // of the newest kMaskTimesKept; 0 where there is none
  double p99_us = 0;
};

class MaskTimes {
 public:
  void add(std::chrono::nanoseconds time);
  MaskSummary summary() const;

 private:
  mutable std::mutex mutex_;
  uint64_t count_ = 0;
  std::array<float, kMaskTimesKept> newest_us_{};  // a ring
};

}  // namespace sluice
