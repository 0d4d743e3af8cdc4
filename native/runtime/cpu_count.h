// How many threads are worth having: the cores this process may run on, counting two hyper-threads
// of one core once, and no more than its control group's quota pays for.
#pragma once

#include <cstdint>

namespace sluice {

inline constexpr uint32_t kThreadsMax = 128;

// At least 1, at most kThreadsMax.
uint32_t usable_cores();

}  // namespace sluice
