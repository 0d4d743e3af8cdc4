// Host memory for the KV blocks of preempted sequences: a fixed number of slots, taken once. The
// pages are the system's until first written, so an engine that never preempts pays nothing for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice {

class SwapSpace {
 public:
  // Without memory for it the space has no slots: victims are then recomputed.
  SwapSpace(uint32_t slots, uint64_t bytes_per_block);

  uint32_t free_count() const { return static_cast<uint32_t>(free_.size()); }
  uint32_t slot_count() const { return slots_; }
  uint32_t take();
  void give(uint32_t slot);
  // All slots.
  void* data() { return memory_.get(); }
  uint64_t bytes() const { return slots_ * bytes_per_block_; }
  // kv_bytes_per_block bytes, valid until the slot is given back.
  void* at(uint32_t slot);

 private:
  uint32_t slots_ = 0;
  uint64_t bytes_per_block_;
  std::unique_ptr<std::byte[]> memory_;
  std::vector<uint32_t> free_;
};

}  // namespace sluice
