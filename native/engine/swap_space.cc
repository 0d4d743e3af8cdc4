// A stack of free slots over one allocation.
#include "engine/swap_space.h"

#include <new>

#include "runtime/status.h"

namespace sluice {

SwapSpace::SwapSpace(uint32_t slots, uint64_t bytes_per_block)
    : bytes_per_block_(bytes_per_block),
      memory_(new(std::nothrow) std::byte[slots * bytes_per_block]) {
  if (memory_ == nullptr) return;
  slots_ = slots;
  for (uint32_t slot = slots; slot > 0; --slot) free_.push_back(slot - 1);
}

uint32_t SwapSpace::take() {
  SLUICE_CHECK(!free_.empty());
  const uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void SwapSpace::give(uint32_t slot) {
  SLUICE_CHECK(slot < slots_ && free_.size() < slots_);
  free_.push_back(slot);
}

void* SwapSpace::at(uint32_t slot) {
  SLUICE_CHECK(slot < slots_);
  return memory_.get() + slot * bytes_per_block_;
}

}  // namespace sluice
