// Causal attention of a few tokens of one sequence to its paged KV cache, for one KV head and the
// query heads that share it.
//
// Keys are walked in chunks of 256 positions from 0, each with its own softmax, merged in order. A
// score is one chain of fused multiply-adds over the head's elements, a chunk's output one chain
// over its positions. So a token's bits depend on its position and what is in the cache only: not
// on how the prompt was cut, what else is in the batch, or where the blocks lie.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block.h"

namespace sluice {

inline constexpr uint32_t kChunkTokens = 256;

// Rows (token, head) of one call: scores of 64 rows are 64 KiB and stay in L2.
inline constexpr uint32_t kAttentionRowsMax = 64;

inline constexpr uint32_t kHeadDimMax = 256;

// A head's size must be whole vectors of eight.
inline constexpr uint32_t kHeadDimUnit = 8;

struct AttentionArgs {
  const float* q = nullptr;  // [tokens, q_stride] f32; head h of the group at + h * head_dim
  size_t q_stride = 0;
  float* out = nullptr;  // as q
  size_t out_stride = 0;
  // This layer's and KV head's part of block 0: keys [head_dim, 16] f32, then values [16,
  // head_dim].
  const float* blocks = nullptr;
  size_t block_stride = 0;  // floats from block to block
  const uint32_t* block_table = nullptr;
  uint32_t position = 0;  // of the first token
  uint32_t tokens = 0;    // tokens * group <= kAttentionRowsMax
  uint32_t group = 0;     // query heads of this KV head
  uint32_t head_dim = 0;
};

// Floats of scratch that a call needs, 64-byte aligned.
inline constexpr size_t kAttentionScratch =
    size_t{kAttentionRowsMax} * (kChunkTokens + kHeadDimMax + 2);

void attention_reference(const AttentionArgs& args, float* scratch);
#if defined(__x86_64__)
void attention_avx2(const AttentionArgs& args, float* scratch);
#endif

}  // namespace sluice
