// Which KV blocks are free and how many tables hold each of the others. Nothing is allocated after
// the constructor. It knows no contents: what a free block still holds is the prefix cache's
// business, and the order of the free list (oldest first) is what makes that cache least-recently-
// used.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice {

inline constexpr uint32_t kNoBlock = UINT32_MAX;

class BlockPool {
 public:
  explicit BlockPool(uint32_t blocks);

  uint32_t block_count() const { return static_cast<uint32_t>(refs_.size()); }
  uint32_t free_count() const { return free_count_; }
  uint32_t refs(uint32_t block) const { return refs_[block]; }

  // The free block that was longest unused, now held once. The pool must not be empty.
  uint32_t take();
  // One holder more; a free block leaves the free list, in O(1) from its middle.
  void share(uint32_t block);
  // One holder less. The last one puts it on the free list: last to be reused where its contents
  // are worth keeping, first where they are not.
  void drop(uint32_t block, bool keep_contents);

  // Walks the free list; programmer errors stop the process. For tests and debugging.
  void check_invariants() const;

 private:
  void unlink(uint32_t block);
  void link_after(uint32_t previous, uint32_t block);

  std::vector<uint32_t> refs_;
  // A ring through the free blocks; the last index is its sentinel.
  std::vector<uint32_t> next_;
  std::vector<uint32_t> previous_;
  uint32_t free_count_ = 0;
};

}  // namespace sluice
