// Finds the KV block that already holds given 16 tokens after a given prefix. A chain of full
// blocks is keyed by a keyed 128-bit hash of (the chain before it, its 16 ids); a hit is then
// compared exactly: the ids, and the parent by its serial. Serials are never reused, so a block
// that was evicted and filled anew is another parent. By induction a hit has the whole prefix,
// whatever the hash does.
//
//   salt ──▶ [16 ids] serial 7 ──▶ [16 ids] serial 9 ──▶ ...   a link is one (key, serial)
//
// Entries are made only for blocks whose KV is known good. Chains of different salts never meet.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/block_pool.h"
#include "model/backend.h"

namespace sluice {

struct PrefixKey {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const PrefixKey&) const = default;
};

struct PrefixLink {
  PrefixKey key;
  uint64_t serial = 0;  // 0: the root, before the first block
};

using BlockIds = std::span<const uint32_t, kBlockTokens>;

class PrefixCache {
 public:
  // `secret` keys the hash, so that nobody outside can aim at collisions.
  PrefixCache(uint32_t blocks, PrefixKey secret);

  PrefixLink root(std::string_view salt) const;

  struct Hit {
    uint32_t block = kNoBlock;  // kNoBlock: no hit
    PrefixLink link;
  };
  Hit find(const PrefixLink& parent, BlockIds ids, std::string_view salt) const;

  // Makes `block` findable, unless an equal one already is: the first wins. Returns the link of the
  // one that is findable now.
  PrefixLink insert(const PrefixLink& parent, BlockIds ids, std::string_view salt, uint32_t block);

  // The block's contents are about to be overwritten.
  void forget(uint32_t block);
  bool holds(uint32_t block) const { return entries_[block].serial != 0; }
  uint32_t entry_count() const { return static_cast<uint32_t>(blocks_by_key_.size()); }

  void check_invariants() const;

 private:
  struct Entry {
    PrefixKey key;
    uint64_t serial = 0;  // 0: not in the cache
    uint64_t parent_serial = 0;
    std::array<uint32_t, kBlockTokens> ids;
    std::string salt;  // of a first block only; its successors have it through their parent
  };
  struct KeyHash {
    size_t operator()(const PrefixKey& key) const { return static_cast<size_t>(key.low); }
  };

  PrefixKey chain(const PrefixLink& parent, BlockIds ids) const;
  bool matches(const Entry& entry,
               const PrefixLink& parent,
               BlockIds ids,
               std::string_view salt) const;

  PrefixKey secret_;
  uint64_t serials_ = 0;
  std::vector<Entry> entries_;  // by block
  std::unordered_map<PrefixKey, uint32_t, KeyHash> blocks_by_key_;
};

}  // namespace sluice
