// The free list is a ring of indices in two arrays, so a block leaves its middle in O(1).
#include "engine/block_pool.h"

#include "runtime/status.h"

namespace sluice {

BlockPool::BlockPool(uint32_t blocks)
    : refs_(blocks, 0), next_(blocks + 1), previous_(blocks + 1), free_count_(blocks) {
  SLUICE_CHECK(blocks > 0 && blocks < kNoBlock);
  for (uint32_t i = 0; i <= blocks; ++i) {
    next_[i] = i == blocks ? 0 : i + 1;
    previous_[i] = i == 0 ? blocks : i - 1;
  }
}

uint32_t BlockPool::take() {
  SLUICE_CHECK(free_count_ > 0);
  const uint32_t block = next_[block_count()];
  share(block);
  return block;
}

void BlockPool::share(uint32_t block) {
  SLUICE_CHECK(block < block_count());
  if (refs_[block] == 0) unlink(block);
  ++refs_[block];
}

void BlockPool::drop(uint32_t block, bool keep_contents) {
  SLUICE_CHECK(block < block_count() && refs_[block] > 0);
  if (--refs_[block] > 0) return;
  const uint32_t sentinel = block_count();
  link_after(keep_contents ? previous_[sentinel] : sentinel, block);
}

void BlockPool::check_invariants() const {
  const uint32_t sentinel = block_count();
  uint32_t walked = 0;
  for (uint32_t block = next_[sentinel]; block != sentinel; block = next_[block]) {
    SLUICE_CHECK_EQ(refs_[block], 0);
    SLUICE_CHECK_EQ(previous_[next_[block]], block);
    SLUICE_CHECK(++walked <= block_count());
  }
  uint32_t unheld = 0;
  for (const uint32_t refs : refs_) unheld += refs == 0 ? 1 : 0;
  SLUICE_CHECK_EQ(walked, free_count_);
  SLUICE_CHECK_EQ(walked, unheld);
}

void BlockPool::unlink(uint32_t block) {
  next_[previous_[block]] = next_[block];
  previous_[next_[block]] = previous_[block];
  --free_count_;
}

void BlockPool::link_after(uint32_t previous, uint32_t block) {
  const uint32_t next = next_[previous];
  next_[previous] = block;
  previous_[block] = previous;
  next_[block] = next;
  previous_[next] = block;
  ++free_count_;
}

}  // namespace sluice
