// Where an element of the paged cache lies. The writer (place), attention, swap and the tests all
// ask here; nothing else knows the order.
//
//   pool of one layer, keys or values: [block][kv_head][16 tokens][head_dim] bf16
//
// A token's row is cut into chunks of 16 bytes, which are stored out of order, so that a block that
// was copied to shared memory as it lies is read by ldmatrix without bank conflicts: chunk c of
// token t is stored at c ^ (t & 7), or rotated by t where a row is not whole groups of 8 chunks.
#pragma once

#include <cstdint>

#include "kernels/block.h"
#include "kernels/cuda/host_device.h"

namespace sluice {

// Elements of 16 bytes.
inline constexpr uint32_t kKvChunk = 8;

// The stored place of chunk `chunk` of token `token` (0..15) of a block.
SLUICE_HOST_DEVICE uint32_t kv_stored_chunk(uint32_t token, uint32_t chunk, uint32_t head_dim) {
  const uint32_t chunks = head_dim / kKvChunk;
  return chunks % 8 == 0 ? chunk ^ (token & 7) : (chunk + token) % chunks;
}

// In elements, inside one block's and KV head's part.
SLUICE_HOST_DEVICE uint32_t kv_part_offset(uint32_t token, uint32_t element, uint32_t head_dim) {
  const uint32_t chunk = kv_stored_chunk(token, element / kKvChunk, head_dim);
  return token * head_dim + chunk * kKvChunk + element % kKvChunk;
}

// In elements, of a block's and KV head's part inside the pool.
SLUICE_HOST_DEVICE uint64_t kv_part_begin(uint64_t block,
                                          uint32_t kv_head,
                                          uint32_t kv_heads,
                                          uint32_t head_dim) {
  return (block * kv_heads + kv_head) * kBlockTokens * head_dim;
}

}  // namespace sluice
