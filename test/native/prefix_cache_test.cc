// The prefix cache alone: hits are exact whatever the hash does, the first of equals wins, salts
// never meet. SipHash has its published vectors.
#include "engine/prefix_cache.h"

#include <array>
#include <vector>

#include "check.h"
#include "engine/siphash.h"

namespace sluice {
namespace {

using Ids = std::array<uint32_t, kBlockTokens>;

Ids ids_from(uint32_t first) {
  Ids ids;
  for (uint32_t i = 0; i < kBlockTokens; ++i) ids[i] = first + i;
  return ids;
}

TEST("siphash gives the published digests") {
  const SipKey key{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
  const SipDigest empty = siphash128(key, {}, 0);
  CHECK_EQ(empty.low, 0xe6a825ba047f81a3ULL);
  CHECK_EQ(empty.high, 0x930255c71472f66dULL);
  const std::array<uint64_t, 1> word = {0x0706050403020100ULL};
  const SipDigest eight = siphash128(key, word, 8);
  CHECK_EQ(eight.low, 0x61f55862baa9623bULL);
  CHECK_EQ(eight.high, 0xb49714f364e2830fULL);
}

TEST("a chain is found block by block, and only after its own prefix") {
  PrefixCache cache(8, {1, 2});
  const Ids a = ids_from(0);
  const Ids b = ids_from(100);
  const PrefixLink root = cache.root("");
  const PrefixLink first = cache.insert(root, a, "", 3);
  cache.insert(first, b, "", 5);
  const PrefixCache::Hit hit = cache.find(root, a, "");
  CHECK_EQ(hit.block, 3U);
  CHECK_EQ(cache.find(hit.link, b, "").block, 5U);
  CHECK_EQ(cache.find(root, b, "").block, kNoBlock);
  CHECK_EQ(cache.find(hit.link, a, "").block, kNoBlock);
  cache.check_invariants();
}

TEST("salts do not share, at any depth") {
  PrefixCache cache(8, {1, 2});
  const Ids a = ids_from(0);
  cache.insert(cache.root("one"), a, "one", 1);
  CHECK_EQ(cache.find(cache.root("two"), a, "two").block, kNoBlock);
  CHECK_EQ(cache.find(cache.root(""), a, "").block, kNoBlock);
  // Even with the other's root, as under a hash collision, the salt itself is compared.
  CHECK_EQ(cache.find(cache.root("one"), a, "two").block, kNoBlock);
  CHECK_EQ(cache.find(cache.root("one"), a, "one").block, 1U);
}

TEST("a key that collides is no hit: ids and parent are compared") {
  PrefixCache cache(8, {1, 2});
  const Ids a = ids_from(0);
  const PrefixLink root = cache.root("");
  const PrefixLink first = cache.insert(root, a, "", 1);
  PrefixLink forged = first;
  const Ids b = ids_from(50);
  cache.insert(first, b, "", 2);
  // The same key with the serial of another block: what was there before an eviction.
  forged.serial += 100;
  CHECK_EQ(cache.find(forged, b, "").block, kNoBlock);
  CHECK_EQ(cache.find(first, b, "").block, 2U);
}

TEST("the first of two equal blocks stays, and both chains go on from it") {
  PrefixCache cache(8, {1, 2});
  const Ids a = ids_from(0);
  const PrefixLink root = cache.root("");
  const PrefixLink first = cache.insert(root, a, "", 1);
  const PrefixLink second = cache.insert(root, a, "", 2);
  CHECK_EQ(second.serial, first.serial);
  CHECK(!cache.holds(2));
  CHECK_EQ(cache.entry_count(), 1U);
}

TEST("a forgotten block is not found, and neither is what came after it") {
  PrefixCache cache(8, {1, 2});
  const Ids a = ids_from(0);
  const Ids b = ids_from(20);
  const PrefixLink root = cache.root("");
  cache.insert(cache.insert(root, a, "", 1), b, "", 2);
  cache.forget(1);
  CHECK_EQ(cache.find(root, a, "").block, kNoBlock);
  // Computed again, in the same block: a new parent, under which the old child is no hit...
  const PrefixLink again = cache.insert(root, a, "", 1);
  CHECK_EQ(cache.find(again, b, "").block, kNoBlock);
  // ... and makes room for the new one.
  cache.insert(again, b, "", 3);
  CHECK_EQ(cache.find(again, b, "").block, 3U);
  CHECK(!cache.holds(2));
  cache.check_invariants();
}

}  // namespace
}  // namespace sluice
