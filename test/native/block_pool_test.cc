// The block pool alone: order of reuse, sharing, and random use against a plain model of it.
#include "engine/block_pool.h"

#include <algorithm>
#include <random>
#include <vector>

#include "check.h"

namespace sluice {
namespace {

TEST("blocks are taken in order, and what was freed longest ago is taken first") {
  BlockPool pool(4);
  for (uint32_t i = 0; i < 4; ++i) CHECK_EQ(pool.take(), i);
  CHECK_EQ(pool.free_count(), 0U);
  for (const uint32_t block : {2U, 0U, 3U}) pool.drop(block, true);
  pool.check_invariants();
  CHECK_EQ(pool.take(), 2U);
  CHECK_EQ(pool.take(), 0U);
  CHECK_EQ(pool.take(), 3U);
}

TEST("a block whose contents are worth nothing is reused before those that are") {
  BlockPool pool(3);
  for (int i = 0; i < 3; ++i) pool.take();
  pool.drop(0, true);
  pool.drop(1, false);
  CHECK_EQ(pool.take(), 1U);
  CHECK_EQ(pool.take(), 0U);
}

TEST("a shared block is free only after its last holder dropped it") {
  BlockPool pool(2);
  const uint32_t block = pool.take();
  pool.share(block);
  pool.drop(block, true);
  CHECK_EQ(pool.free_count(), 1U);
  CHECK_EQ(pool.refs(block), 1U);
  pool.drop(block, true);
  CHECK_EQ(pool.free_count(), 2U);
}

TEST("sharing a free block takes it out of the middle of the free list") {
  BlockPool pool(5);
  pool.share(2);
  pool.check_invariants();
  for (const uint32_t expected : {0U, 1U, 3U, 4U}) CHECK_EQ(pool.take(), expected);
  CHECK_EQ(pool.free_count(), 0U);
}

TEST("random use keeps the pool's invariants and its order") {
  std::mt19937_64 random(7);
  constexpr uint32_t kBlocks = 23;
  BlockPool pool(kBlocks);
  std::vector<uint32_t> free_order;
  std::vector<uint32_t> refs(kBlocks, 0);
  for (uint32_t i = 0; i < kBlocks; ++i) free_order.push_back(i);
  for (int step = 0; step < 20'000; ++step) {
    const auto block = static_cast<uint32_t>(random() % kBlocks);
    const bool was_free = refs[block] == 0;
    if (random() % 3 == 0 && !free_order.empty()) {
      const uint32_t taken = pool.take();
      CHECK_EQ(taken, free_order.front());
      free_order.erase(free_order.begin());
      ++refs[taken];
    } else if (random() % 2 == 0) {
      pool.share(block);
      if (was_free) free_order.erase(std::find(free_order.begin(), free_order.end(), block));
      ++refs[block];
    } else if (!was_free) {
      const bool keep = random() % 2 == 0;
      pool.drop(block, keep);
      if (--refs[block] == 0)
        free_order.insert(keep ? free_order.end() : free_order.begin(), block);
    }
    CHECK_EQ(pool.free_count(), free_order.size());
    if (step % 50 == 0) pool.check_invariants();
  }
}

}  // namespace
}  // namespace sluice
