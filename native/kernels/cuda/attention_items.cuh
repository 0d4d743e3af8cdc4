// Which items the decode kernel's blocks work on: one piece of a row and KV head, or a whole row.
// Blocks take items in turn; all warps of a block find the same ones.
#pragma once

#include "kernels/cuda/attention_parts.cuh"
#include "kernels/cuda/softmax.cuh"

namespace sluice::decode {

struct DecodeParameters {
  PagedAttentionArgs args;
  AttentionScratchView scratch;
  const int32_t* block_tables;
  const int32_t* seq_context;
  const int32_t* seq_slot;
  uint32_t blocks_per_sequence_max;
  uint32_t rows;
  uint32_t buffers;
  bool is_few;  // the plan is the block's own
  float scale;  // of scores, times log2(e)
};

struct Item {
  DecodeRow row;
  uint32_t row_index;
  uint32_t kv_head;
  uint32_t piece_begin;
  uint32_t piece_end;

  __device__ __forceinline__ uint32_t tokens() const { return static_cast<uint32_t>(row.tokens); }
};

__device__ __forceinline__ bool places(const DecodeParameters& p) {
  return p.args.place.qkv != nullptr;
}

__device__ __forceinline__ int32_t pieces_of(const DecodeRow& row) {
  constexpr auto kTokens = static_cast<int32_t>(kKvPieceTokens);
  return (row.tokens + kTokens - 1) / kTokens;
}

__device__ __forceinline__ DecodeRow row_of(const DecodeParameters& p, uint32_t index) {
  DecodeRow row = {0, -1, 0, -1};
  if (index >= p.rows) return row;
  row.slot = p.seq_slot[index];
  row.tokens = row.slot < 0 ? 0 : p.seq_context[index] + 1;
  return row;
}

// What the lanes before this one hold; `total` grows by all of it.
__device__ __forceinline__ int32_t lanes_before(int32_t value, int32_t* total) {
  int32_t sum = value;
#pragma unroll
  for (uint32_t offset = 1; offset < 32; offset *= 2) {
    const int32_t other = __shfl_up_sync(0xFFFFFFFFu, sum, offset);
    if (threadIdx.x % 32 >= offset) sum += other;
  }
  const int32_t before = *total + sum - value;
  *total += __shfl_sync(0xFFFFFFFFu, sum, 31);
  return before;
}

// What plan_kernel does, by one warp for few rows. Reads the step's packet only, which lies on the
// device before the step's first kernel starts.
__device__ __forceinline__ void plan_few(const DecodeParameters& p, DecodeRow* plan) {
  const uint32_t lane = threadIdx.x % 32;
  int32_t total = 0;
  for (uint32_t base = 0; base < p.rows; base += 32) {
    lanes_before(pieces_of(row_of(p, base + lane)), &total);
  }
  const int32_t work = total * static_cast<int32_t>(p.args.shape.kv_heads);
  const int32_t whole = max(kWholeLeast, work / (kShares * static_cast<int32_t>(gridDim.x)));
  int32_t cut_pieces = 0;
  int32_t items = 0;
  for (uint32_t base = 0; base < p.rows; base += 32) {
    DecodeRow row = row_of(p, base + lane);
    const int32_t pieces = pieces_of(row);
    bool is_cut = pieces > whole;
    const int32_t partial = lanes_before(is_cut ? pieces : 0, &cut_pieces);
    is_cut = is_cut && partial + pieces <= static_cast<int32_t>(p.scratch.pieces_max);
    if (is_cut) row.partial_begin = partial;
    row.item_begin = lanes_before(is_cut ? pieces : min(pieces, 1), &items);
    if (base + lane < p.rows) plan[base + lane] = row;
  }
  if (lane == 0) plan[p.rows] = {items, -1, 0, -1};
}

// `plan` holds rows + 1 entries, the last one's item_begin being the number of items.
__device__ __forceinline__ bool find_item(const DecodeParameters& p,
                                          const DecodeRow* plan,
                                          uint32_t index,
                                          Item* item) {
  const auto place = static_cast<int32_t>(index / p.args.shape.kv_heads);
  if (place >= plan[p.rows].item_begin) return false;
  uint32_t low = 0;
  uint32_t high = p.rows;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (plan[middle].item_begin <= place) {
      low = middle;
    } else {
      high = middle;
    }
  }
  item->row = plan[low];
  item->row_index = low;
  item->kv_head = index % p.args.shape.kv_heads;
  if (item->row.partial_begin >= 0) {
    item->piece_begin = static_cast<uint32_t>(place - item->row.item_begin);
    item->piece_end = item->piece_begin + 1;
  } else {
    item->piece_begin = 0;
    item->piece_end = (item->tokens() + kKvPieceTokens - 1) / kKvPieceTokens;
  }
  return true;
}

// Of the piece's tiles, those that hold a key that counts.
__device__ __forceinline__ uint32_t piece_tiles(const Item& item, uint32_t piece) {
  const uint32_t left = item.tokens() - piece * kKvPieceTokens;
  return (min(left, kKvPieceTokens) + kKeyTile - 1) / kKeyTile;
}

}  // namespace sluice::decode
