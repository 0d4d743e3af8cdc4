// Entries lie by block; the map finds them by key. Evicting one touches nothing else.
#include "engine/prefix_cache.h"

#include <algorithm>
#include <cstring>

#include "engine/siphash.h"
#include "runtime/status.h"

namespace sluice {
namespace {

PrefixKey hash(PrefixKey secret, std::span<const uint64_t> words, uint64_t bytes) {
  const SipDigest digest = siphash128({secret.low, secret.high}, words, bytes);
  return {digest.low, digest.high};
}

}  // namespace

PrefixCache::PrefixCache(uint32_t blocks, PrefixKey secret) : secret_(secret), entries_(blocks) {
  blocks_by_key_.reserve(blocks);
}

PrefixLink PrefixCache::root(std::string_view salt) const {
  std::vector<uint64_t> words((salt.size() + 7) / 8, 0);
  if (!salt.empty()) std::memcpy(words.data(), salt.data(), salt.size());
  return {hash(secret_, words, salt.size()), 0};
}

PrefixCache::Hit PrefixCache::find(const PrefixLink& parent,
                                   BlockIds ids,
                                   std::string_view salt) const {
  const PrefixKey key = chain(parent, ids);
  const auto found = blocks_by_key_.find(key);
  if (found == blocks_by_key_.end()) return {};
  const Entry& entry = entries_[found->second];
  if (!matches(entry, parent, ids, salt)) return {};
  return {found->second, {key, entry.serial}};
}

PrefixLink PrefixCache::insert(const PrefixLink& parent,
                               BlockIds ids,
                               std::string_view salt,
                               uint32_t block) {
  SLUICE_CHECK(!holds(block));
  const PrefixKey key = chain(parent, ids);
  const auto found = blocks_by_key_.find(key);
  if (found != blocks_by_key_.end()) {
    const Entry& first = entries_[found->second];
    if (matches(first, parent, ids, salt)) return {key, first.serial};
    // The same key with another parent: that parent was evicted and computed again since, so
    // nothing can reach the older entry any more.
    forget(found->second);
  }
  Entry& entry = entries_[block];
  entry.key = key;
  entry.serial = ++serials_;
  entry.parent_serial = parent.serial;
  std::copy(ids.begin(), ids.end(), entry.ids.begin());
  if (parent.serial == 0) entry.salt = salt;
  blocks_by_key_.emplace(key, block);
  return {key, entry.serial};
}

void PrefixCache::forget(uint32_t block) {
  Entry& entry = entries_[block];
  if (entry.serial == 0) return;
  blocks_by_key_.erase(entry.key);
  entry.serial = 0;
  entry.salt.clear();
}

void PrefixCache::check_invariants() const {
  for (const auto& [key, block] : blocks_by_key_) {
    SLUICE_CHECK(holds(block));
    SLUICE_CHECK(entries_[block].key == key);
  }
  size_t held = 0;
  for (const Entry& entry : entries_) held += entry.serial != 0 ? 1 : 0;
  SLUICE_CHECK_EQ(held, blocks_by_key_.size());
}

PrefixKey PrefixCache::chain(const PrefixLink& parent, BlockIds ids) const {
  std::array<uint64_t, 2 + kBlockTokens / 2> words;
  words[0] = parent.key.low;
  words[1] = parent.key.high;
  for (size_t i = 0; i < kBlockTokens / 2; ++i) {
    words[2 + i] = ids[2 * i] | (static_cast<uint64_t>(ids[2 * i + 1]) << 32);
  }
  return hash(secret_, words, sizeof(words));
}

bool PrefixCache::matches(const Entry& entry,
                          const PrefixLink& parent,
                          BlockIds ids,
                          std::string_view salt) const {
  if (entry.parent_serial != parent.serial) return false;
  if (!std::equal(ids.begin(), ids.end(), entry.ids.begin())) return false;
  return parent.serial != 0 || entry.salt == salt;
}

}  // namespace sluice
