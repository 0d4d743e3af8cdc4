// Block tables stay on the device, by slot; a step's packet brings only what is new in them.
#pragma once

#include <cstdint>

#include "runtime/cuda/stream.h"
#include "runtime/status.h"

namespace sluice {

struct TableChange {
  uint32_t at;  // slot * blocks_per_sequence_max + index
  int32_t block;
};

struct TableChangesArgs {
  int32_t* tables = nullptr;
  const uint32_t* count = nullptr;       // device memory; at most `capacity`
  const TableChange* changes = nullptr;  // [capacity]
  uint32_t capacity = 0;                 // the grid depends on it
};

Status change_tables(const TableChangesArgs& args, DeviceStream stream);

}  // namespace sluice
