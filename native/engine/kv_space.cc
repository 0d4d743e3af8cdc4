// Every block that leaves the free list to be written is forgotten by the cache first, here.
#include "engine/kv_space.h"

#include <algorithm>
#include <vector>

#include "engine/limits.h"
#include "runtime/status.h"

namespace sluice {
namespace {

BlockIds ids_of_block(const Sequence& sequence, uint32_t block) {
  SLUICE_CHECK((block + 1) * kBlockTokens <= sequence.ids.size());
  return BlockIds(sequence.ids.data() + static_cast<size_t>(block) * kBlockTokens, kBlockTokens);
}

uint32_t hit_blocks_max(const Sequence& sequence) {
  if (sequence.wants_prompt_scores()) return 0;
  return (static_cast<uint32_t>(sequence.ids.size()) - 1) / kBlockTokens;
}

}  // namespace

KvSpace::KvSpace(uint32_t blocks, bool prefix_cache, PrefixKey secret)
    : pool_(blocks), cache_(blocks, secret), prefix_cache_(prefix_cache) {}

PrefixHits KvSpace::find_hits(const Sequence& sequence) const {
  PrefixHits hits;
  if (!prefix_cache_) return hits;
  PrefixLink tail = cache_.root(sequence.source.cache_salt);
  for (const uint32_t max = hit_blocks_max(sequence); hits.blocks < max; ++hits.blocks) {
    const PrefixCache::Hit hit = find_next(sequence, tail, hits.blocks);
    if (hit.block == kNoBlock) break;
    hits.free_blocks += pool_.refs(hit.block) == 0 ? 1 : 0;
    tail = hit.link;
  }
  return hits;
}

uint32_t KvSpace::exclusive_blocks(const KvTable& table) const {
  uint32_t exclusive = 0;
  for (uint32_t i = 0; i < table.held; ++i) exclusive += pool_.refs(table.blocks[i]) == 1 ? 1 : 0;
  return exclusive;
}

uint32_t KvSpace::unpublished_tokens(const Sequence& sequence) const {
  const uint32_t published = sequence.table.published * kBlockTokens;
  return sequence.computed - std::min(sequence.computed, published);
}

void KvSpace::start_empty(Sequence* sequence) {
  KvTable* table = &sequence->table;
  SLUICE_CHECK_EQ(table->held, 0);
  table->blocks.clear();
  table->published = 0;
  table->tail = cache_.root(sequence->source.cache_salt);
}

uint32_t KvSpace::take_hits(Sequence* sequence) {
  start_empty(sequence);
  KvTable* table = &sequence->table;
  if (!prefix_cache_) return 0;
  for (const uint32_t max = hit_blocks_max(*sequence); table->held < max; ++table->held) {
    const PrefixCache::Hit hit = find_next(*sequence, table->tail, table->held);
    if (hit.block == kNoBlock) break;
    pool_.share(hit.block);
    table->blocks.push_back(hit.block);
    table->tail = hit.link;
  }
  table->published = table->held;
  return table->held * kBlockTokens;
}

void KvSpace::extend(KvTable* table, uint32_t tokens) {
  while (table->held < blocks_for(tokens)) {
    const uint32_t block = pool_.take();
    cache_.forget(block);
    table->blocks.push_back(block);
    ++table->held;
  }
}

void KvSpace::publish(Sequence* sequence) {
  if (!prefix_cache_) return;
  KvTable* table = &sequence->table;
  const uint32_t full = std::min<uint32_t>(sequence->computed / kBlockTokens, table->held);
  for (; table->published < full; ++table->published) {
    const uint32_t block = table->blocks[table->published];
    table->tail = cache_.insert(
        table->tail, ids_of_block(*sequence, table->published), sequence->source.cache_salt, block);
  }
}

void KvSpace::release(KvTable* table) {
  while (table->held > 0) {
    const uint32_t block = table->blocks[--table->held];
    pool_.drop(block, cache_.holds(block));
  }
}

void KvSpace::check_invariants(std::span<const KvTable* const> tables) const {
  pool_.check_invariants();
  cache_.check_invariants();
  std::vector<uint32_t> refs(pool_.block_count(), 0);
  std::vector<const KvTable*> last_table(pool_.block_count(), nullptr);
  for (const KvTable* table : tables) {
    for (uint32_t i = 0; i < table->held; ++i) {
      const uint32_t block = table->blocks[i];
      SLUICE_CHECK(last_table[block] != table);
      last_table[block] = table;
      ++refs[block];
    }
  }
  for (uint32_t block = 0; block < pool_.block_count(); ++block) {
    SLUICE_CHECK_EQ(pool_.refs(block), refs[block]);
  }
}

PrefixCache::Hit KvSpace::find_next(const Sequence& sequence,
                                    const PrefixLink& tail,
                                    uint32_t block) const {
  return cache_.find(tail, ids_of_block(sequence, block), sequence.source.cache_salt);
}

}  // namespace sluice
