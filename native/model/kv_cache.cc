// Addresses inside the pool of blocks.
#include "model/kv_cache.h"

#include <cstring>

#include "kernels/block.h"

namespace sluice {

KvCache::KvCache(const ModelConfig& config)
    : kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      part_floats_(size_t{2} * kBlockTokens * config.head_dim),
      block_floats_(size_t{config.layers} * config.kv_heads * part_floats_) {}

Status KvCache::reserve(uint32_t blocks) {
  SLUICE_CHECK_EQ(blocks_, 0);
  SLUICE_RETURN_IF_ERROR(LargeBuffer::allocate(blocks * block_bytes(), &memory_));
  blocks_ = blocks;
  return Status::ok();
}

float* KvCache::block(uint32_t index) const {
  SLUICE_CHECK(index < blocks_);
  return reinterpret_cast<float*>(memory_.data()) + index * block_floats_;
}

float* KvCache::part(uint32_t layer, uint32_t kv_head) const {
  return block(0) + (size_t{layer} * kv_heads_ + kv_head) * part_floats_;
}

void KvCache::store(const KvPlace& place, const float* key, const float* value) const {
  SLUICE_CHECK(place.block < blocks_);
  float* keys = part(place.layer, place.kv_head) + place.block * block_floats_;
  float* values = keys + size_t{head_dim_} * kBlockTokens;
  for (uint32_t d = 0; d < head_dim_; ++d) keys[size_t{d} * kBlockTokens + place.slot] = key[d];
  std::memcpy(values + size_t{place.slot} * head_dim_, value, head_dim_ * sizeof(float));
}

void KvCache::save(uint32_t index, void* host) const {
  std::memcpy(host, block(index), block_bytes());
}

void KvCache::load(uint32_t index, const void* host) const {
  std::memcpy(block(index), host, block_bytes());
}

}  // namespace sluice
