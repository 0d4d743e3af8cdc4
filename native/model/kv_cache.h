// Keys and values of all tokens, in blocks of kBlockTokens. A block is one piece of memory:
//
//   block: [layers][kv_heads] parts;  part: keys [head_dim, 16] f32, values [16, head_dim] f32
//
// Keys lie transposed so that 16 scores are one strip of attention's work. It is float32 for every
// dtype of weights: what attention reads is then exactly what the layer computed. Which sequence
// owns which block is the engine's business alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/config.h"
#include "runtime/large_buffer.h"
#include "runtime/status.h"

namespace sluice {

// One token's place in one layer's and head's part.
struct KvPlace {
  uint32_t block = 0;
  uint32_t slot = 0;  // < kBlockTokens
  uint32_t layer = 0;
  uint32_t kv_head = 0;
};

class KvCache {
 public:
  explicit KvCache(const ModelConfig& config);

  Status reserve(uint32_t blocks);

  uint64_t block_bytes() const { return block_floats_ * sizeof(float); }
  size_t block_floats() const { return block_floats_; }

  // The part of block 0; the same part of block b is b * block_floats() further on.
  float* part(uint32_t layer, uint32_t kv_head) const;

  void store(const KvPlace& place, const float* key, const float* value) const;

  // Bit-exact copies of a whole block.
  void save(uint32_t block, void* host) const;
  void load(uint32_t block, const void* host) const;

 private:
  float* block(uint32_t index) const;

  uint32_t kv_heads_;
  uint32_t head_dim_;
  size_t part_floats_;
  size_t block_floats_;
  uint32_t blocks_ = 0;
  LargeBuffer memory_;
};

}  // namespace sluice
