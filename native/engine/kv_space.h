// The KV memory of all sequences: block pool and prefix cache kept in step. Bookkeeping only:
// whether a sequence gets blocks is the scheduler's decision, made from the const queries below.
#pragma once

#include <cstdint>
#include <span>

#include "engine/block_pool.h"
#include "engine/prefix_cache.h"
#include "engine/sequence.h"

namespace sluice {

// What the prefix cache holds of a sequence.
struct PrefixHits {
  uint32_t blocks = 0;
  uint32_t free_blocks = 0;  // of these on the free list: taking them costs pool room too
};

class KvSpace {
 public:
  KvSpace(uint32_t blocks, bool prefix_cache, PrefixKey secret);

  uint32_t block_count() const { return pool_.block_count(); }
  uint32_t free_count() const { return pool_.free_count(); }

  // At most all tokens but the last: that one must be computed for its logits. A sequence whose
  // prompt is still to be scored hits nothing, for each of its tokens must be computed.
  PrefixHits find_hits(const Sequence& sequence) const;
  // Blocks that a release of the table would free now.
  uint32_t exclusive_blocks(const KvTable& table) const;
  // Computed tokens that would have to be computed again after a release.
  uint32_t unpublished_tokens(const Sequence& sequence) const;

  // A table with nothing in it, for a sequence that brings its own KV.
  void start_empty(Sequence* sequence);
  // Starts the table with the hits; returns their tokens.
  uint32_t take_hits(Sequence* sequence);
  // Appends free blocks until the table covers `tokens`. The scheduler has seen to it that they
  // exist.
  void extend(KvTable* table, uint32_t tokens);
  // Offers the full blocks of computed tokens to the prefix cache. Call after their step is known
  // good.
  void publish(Sequence* sequence);
  // Idempotent. Last block first, so that the tails of chains are reused before their heads.
  void release(KvTable* table);

  // Sum of refs = table entries; no block twice in a table; free list = blocks without refs; the
  // cache points only at blocks that hold what it says. For tests and debugging.
  void check_invariants(std::span<const KvTable* const> tables) const;

 private:
  PrefixCache::Hit find_next(const Sequence& sequence,
                             const PrefixLink& tail,
                             uint32_t block) const;

  BlockPool pool_;
  PrefixCache cache_;
  const bool prefix_cache_;
};

}  // namespace sluice
