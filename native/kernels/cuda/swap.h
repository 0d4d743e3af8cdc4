// One KV block of all layers to and from host memory that the device sees, as it lies: bit-exact.
#pragma once

#include <cstdint>

#include "runtime/cuda/stream.h"
#include "runtime/status.h"

namespace sluice {

// The pools of all layers, keys and values, are one piece of device memory:
//   [layers * 2 pools][blocks][part_bytes]
struct SwapArgs {
  uint8_t* pools = nullptr;
  uint32_t pool_count = 0;
  uint64_t pool_bytes = 0;
  uint64_t part_bytes = 0;  // of one block in one pool; a multiple of 16
  uint32_t block = 0;
  uint8_t* host = nullptr;  // [pool_count][part_bytes], by its address on the device
};

Status save_kv_block(const SwapArgs& args, DeviceStream stream);
Status load_kv_block(const SwapArgs& args, DeviceStream stream);

}  // namespace sluice
