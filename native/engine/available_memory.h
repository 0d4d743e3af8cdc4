// How much memory this process may still take: the machine's, or its control group's where that is
// less.
#pragma once

#include <cstdint>

namespace sluice {

// 0 where the system does not say.
uint64_t available_memory_bytes();

}  // namespace sluice
