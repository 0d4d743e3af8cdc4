// A ring, sorted when somebody asks: asking is rare, adding is not.
#include "engine/mask_times.h"

#include <algorithm>
#include <vector>

namespace sluice {

void MaskTimes::add(std::chrono::nanoseconds time) {
  const std::lock_guard lock(mutex_);
  newest_us_[count_ % kMaskTimesKept] = std::chrono::duration<float, std::micro>(time).count();
  ++count_;
}

MaskSummary MaskTimes::summary() const {
  MaskSummary summary;
  std::vector<float> times;
  {
    const std::lock_guard lock(mutex_);
    summary.count = count_;
    const auto kept = static_cast<ptrdiff_t>(std::min<uint64_t>(count_, kMaskTimesKept));
    times.assign(newest_us_.begin(), newest_us_.begin() + kept);
  }
  if (times.empty()) return summary;
  std::sort(times.begin(), times.end());
  summary.p50_us = times[times.size() / 2];
  summary.p99_us = times[times.size() * 99 / 100];
  return summary;
}

}  // namespace sluice
