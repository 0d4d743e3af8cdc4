// From bytes to blocks, with the figures in the refusal.
#include "engine/kv_budget.h"

#include <algorithm>
#include <string>

#include "engine/available_memory.h"

namespace sluice {
namespace {

// Where the system does not say how much there is.
constexpr uint64_t kBytesUnknown = 256ULL << 20;

// Block ids are 32 bits wide, and the pool's own lists take 150 bytes a block.
constexpr uint64_t kBlocksMax = 1ULL << 24;

// What is not asked for is not pinned beyond this: it is taken from the whole machine.
constexpr uint64_t kPinnedSwapBytesMax = 4ULL << 30;

}  // namespace

Status choose_blocks(const BackendInfo& info,
                     uint64_t kv_bytes,
                     std::optional<uint64_t> swap_bytes,
                     EngineLimits* limits) {
  const uint64_t per_block = info.kv_bytes_per_block;
  const uint64_t available = available_memory_bytes();
  uint64_t blocks = kv_bytes / per_block;
  if (kv_bytes == 0) {
    const uint64_t share = available == 0 ? kBytesUnknown : available / 4;
    const uint64_t useful =
        static_cast<uint64_t>(limits->sequences_max) * blocks_for(info.context_tokens_max);
    blocks = std::min(share / per_block, useful);
  }
  blocks = std::min(blocks, kBlocksMax);
  if (blocks == 0) {
    return {StatusCode::kTooLarge,
            "one KV block of " + std::to_string(kBlockTokens) + " tokens takes " +
                std::to_string(per_block) + " bytes; " +
                (kv_bytes == 0 ? "a quarter of the available memory (" + std::to_string(available)
                               : "kvBytes (" + std::to_string(kv_bytes)) +
                ") holds none"};
  }
  limits->blocks = static_cast<uint32_t>(blocks);
  uint64_t swap = swap_bytes ? *swap_bytes / per_block : blocks / 4;
  if (!swap_bytes && info.kv_on_device) {
    swap = std::min(swap, std::min(available / 8, kPinnedSwapBytesMax) / per_block);
  }
  limits->swap_blocks = static_cast<uint32_t>(std::min(swap, kBlocksMax));
  return Status::ok();
}

}  // namespace sluice
