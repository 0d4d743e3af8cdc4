// How many KV blocks an engine gets, from what was asked for or from the memory there is.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/limits.h"
#include "model/backend.h"

namespace sluice {

// Sets limits->blocks and limits->swap_blocks. kv_bytes 0: a quarter of the available memory, but
// no more than every sequence could fill; swap_bytes absent: a quarter of the KV, and where that is
// on a device no more than an eighth of the available host memory, and 4 GiB. Refused
// (kTooLarge) where one sequence of one block would not fit.
Status choose_blocks(const BackendInfo& info,
                     uint64_t kv_bytes,
                     std::optional<uint64_t> swap_bytes,
                     EngineLimits* limits);

}  // namespace sluice
