// What the warps of a decode block do with an item, which is one piece of a row and KV head, or a
// whole row: one warp copies keys and values into a ring, four compute. Each of the four scores one
// tile of 64 keys of the piece; then, weights shared, each sums its own columns of the values over
// the whole piece.
#pragma once

#include "kernels/cuda/attention_parts.cuh"
#include "kernels/cuda/kv_tile.cuh"

namespace sluice::decode {

inline constexpr uint32_t kWarps = 4;  // that compute; one more copies
inline constexpr uint32_t kThreads = (kWarps + 1) * 32;
inline constexpr uint32_t kRows = 16;
// Bytes between rows of weights in shared memory: 16 more than the piece, against bank conflicts.
inline constexpr uint32_t kWeightStride = kKvPieceTokens * 2 + 16;
inline constexpr uint32_t kBuffersMax = 12;

static_assert(kKvPieceTokens == kWarps * kKeyTile);

struct DecodeParameters {
  PagedAttentionArgs args;
  AttentionScratchView scratch;
  const int32_t* block_tables;
  uint32_t blocks_per_sequence_max;
  uint32_t rows;
  uint32_t buffers;
  float scale;  // of scores, times log2(e)
};

// Shared memory beside the ring.
struct Shared {
  alignas(16) char weights[kRows * kWeightStride];
  float highest[kWarps][kRows];
  uint64_t full[kBuffersMax];
  uint64_t empty[kBuffersMax];
  uint32_t arrived;
};

struct Item {
  DecodeRow row;
  uint32_t row_index;
  uint32_t kv_head;
  uint32_t piece_begin;
  uint32_t piece_end;

  __device__ __forceinline__ uint32_t tokens() const { return static_cast<uint32_t>(row.tokens); }
};

__device__ __forceinline__ void wait_for_computing_warps() {
  asm volatile("bar.sync 1, 128;\n" ::: "memory");
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

template <uint32_t kDim>
__device__ void copy_items(const DecodeParameters& p, const DecodeRow* plan, const CopyRing& ring) {
  RingPlace place;
  Item item;
  for (uint32_t i = blockIdx.x; find_item(p, plan, i, &item); i += gridDim.x) {
    const auto slot = static_cast<uint64_t>(item.row.slot);
    const KvSource<kDim> source = {p.args.keys,
                                   p.args.values,
                                   p.block_tables + slot * p.blocks_per_sequence_max,
                                   item.kv_head,
                                   p.args.shape.kv_heads};
    for (uint32_t piece = item.piece_begin; piece < item.piece_end; ++piece) {
      const int32_t ids = source.piece_blocks(piece, item.tokens());
      const uint32_t tiles = piece_tiles(item, piece);
      for (uint32_t t = 0; t < 2 * tiles; ++t) {
        const uint32_t begin = piece * kKvPieceTokens + t % tiles * kKeyTile;
        const uint16_t* pool = t < tiles ? source.keys : source.values;
        ring.wait_empty(place);
        source.copy_tile(ring, place, pool, ids, begin, item.tokens());
        place.advance(ring.buffers);
      }
    }
  }
}

// One computing warp's view of its block's work, and what it holds of the current item.
template <uint32_t kDim>
struct Computer {
  static constexpr uint32_t kSteps = kDim / 16;
  // Columns come in pairs of 8; warp w owns pairs w, w + 4, ...
  static constexpr uint32_t kPairs = (kDim / 16 + kWarps - 1) / kWarps;

  const DecodeParameters& p;
  Shared& shared;
  const CopyRing& ring;
  uint32_t warp;
  uint32_t lane;
  RingPlace place;
  FragmentA query[kSteps];
  RowState low;  // row g and row g + 8 of the item so far
  RowState high;
  float4 sums[kPairs][2];

  __device__ __forceinline__ bool owns(uint32_t pair) const {
    return kDim % (16 * kWarps) == 0 || pair * kWarps + warp < kSteps;
  }
  __device__ __forceinline__ uint32_t column(uint32_t pair, uint32_t half) const {
    return (pair * kWarps + warp) * 16 + half * 8 + lane % 4 * 2;
  }

  __device__ __forceinline__ void load_query(const Item& item) {
    const uint32_t group = p.args.shape.heads / p.args.shape.kv_heads;
    const uint32_t g = lane / 4;
    const uint16_t* row = p.args.q + uint64_t{item.row_index} * p.args.q_stride +
                          item.kv_head * group * kDim + lane % 4 * 2;
    const auto load = [&](uint32_t head, uint32_t element) {
      if (head >= group) return 0u;
      return *reinterpret_cast<const uint32_t*>(row + head * kDim + element);
    };
#pragma unroll
    for (uint32_t step = 0; step < kSteps; ++step) {
      query[step] = {{load(g, step * 16),
                      load(g + 8, step * 16),
                      load(g, step * 16 + 8),
                      load(g + 8, step * 16 + 8)}};
    }
  }

  // Scores of this warp's tile, as weights in shared memory; the others' highest scores with them.
  __device__ __forceinline__ void weigh_keys(uint32_t left, uint32_t tiles, float2 (&highest)[4]) {
    float4 scores[8];
    float2 own = {masked_score(), masked_score()};
    for (uint32_t t = 0; t < tiles; ++t) {
      ring.wait_full(place);
      if (t == warp) {
        score_tile<kDim>(
            scores, shared_address(ring.at(place)), [&](uint32_t step) { return query[step]; });
        const auto seen = static_cast<int32_t>(left - t * kKeyTile);
        if (left < (t + 1) * kKeyTile) mask_scores(scores, seen, seen);
        own = highest_scores(scores);
      }
      ring.release(place);
      place.advance(ring.buffers);
    }
    const uint32_t g = lane / 4;
    if (lane % 4 == 0) {
      shared.highest[warp][g] = own.x;
      shared.highest[warp][g + 8] = own.y;
    }
    wait_for_computing_warps();
    float2 running = {masked_score(), masked_score()};
#pragma unroll
    for (uint32_t t = 0; t < kWarps; ++t) {
      running.x = fmaxf(running.x, shared.highest[t][g]);
      running.y = fmaxf(running.y, shared.highest[t][g + 8]);
      highest[t] = running;
      if (t == warp) own = running;
    }
    if (warp < tiles) store_weights(scores, own);
    wait_for_computing_warps();
  }

  __device__ __forceinline__ void store_weights(const float4 (&scores)[8], float2 highest) {
    const float shift_low = negated(highest.x, p.scale);
    const float shift_high = negated(highest.y, p.scale);
    char* row = shared.weights + lane / 4 * kWeightStride + warp * (kKeyTile * 2) + lane % 4 * 4;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      *reinterpret_cast<uint32_t*>(row + i * 16) =
          weights_of(scores[i].x, scores[i].y, p.scale, shift_low);
      *reinterpret_cast<uint32_t*>(row + 8 * kWeightStride + i * 16) =
          weights_of(scores[i].z, scores[i].w, p.scale, shift_high);
    }
  }

  template <bool kMasked>
  __device__ __forceinline__ void weigh_block(float4& totals,
                                              float4 (&part)[kPairs][2],
                                              uint32_t tile,
                                              uint32_t block,
                                              const ValueMask& mask,
                                              uint32_t tile_index) {
    const uint32_t row = lane / 8 % 2 * 8 + lane % 8;
    const uint4 a =
        load_matrix4(shared_address(shared.weights) + row * kWeightStride +
                     (tile_index * kKeyTile + block * kBlockTokens) * 2 + lane / 16 * 16);
    const FragmentA weights = {{a.x, a.y, a.z, a.w}};
    mma_bf16(totals, weights, ones());
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
      if (!owns(pair)) continue;
      const uint4 v = load_values<kDim>(tile, block, pair * kWarps + warp);
      weigh_values<kDim, kMasked>(part[pair], weights, v, mask);
    }
  }

  // Sums of this warp's columns over the piece, merged into the item's.
  __device__ __forceinline__ void weigh_piece(uint32_t left,
                                              uint32_t tiles,
                                              const float2 (&highest)[4]) {
    float4 part[kPairs][2];
    float4 totals = make_float4(0, 0, 0, 0);
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
      part[pair][0] = part[pair][1] = make_float4(0, 0, 0, 0);
    }
    float2 before = {masked_score(), masked_score()};
#pragma unroll
    for (uint32_t t = 0; t < kWarps; ++t) {
      if (t >= tiles) break;
      const float keep_low = rescale(before.x, highest[t].x, p.scale);
      const float keep_high = rescale(before.y, highest[t].y, p.scale);
      before = highest[t];
      scale_rows(totals, keep_low, keep_high);
#pragma unroll
      for (uint32_t pair = 0; pair < kPairs; ++pair) {
        scale_rows(part[pair][0], keep_low, keep_high);
        scale_rows(part[pair][1], keep_low, keep_high);
      }
      ring.wait_full(place);
      const uint32_t tile = shared_address(ring.at(place));
      const uint32_t whole = min(left - t * kKeyTile, kKeyTile) / kBlockTokens;
      for (uint32_t block = 0; block < whole; ++block) {
        weigh_block<false>(totals, part, tile, block, {}, t);
      }
      const uint32_t rest = min(left - t * kKeyTile, kKeyTile) % kBlockTokens;
      if (rest > 0) weigh_block<true>(totals, part, tile, whole, value_mask(rest), t);
      ring.release(place);
      place.advance(ring.buffers);
    }
    merge_piece(part, {before.x, totals.x}, {before.y, totals.z});
  }

  __device__ __forceinline__ void merge_piece(const float4 (&part)[kPairs][2],
                                              const RowState& next_low,
                                              const RowState& next_high) {
    const MergeFactors f = merge_state(&low, next_low, p.scale);
    const MergeFactors h = merge_state(&high, next_high, p.scale);
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
        float4& sum = sums[pair][half];
        sum.x = merge_sum(sum.x, part[pair][half].x, f);
        sum.y = merge_sum(sum.y, part[pair][half].y, f);
        sum.z = merge_sum(sum.z, part[pair][half].z, h);
        sum.w = merge_sum(sum.w, part[pair][half].w, h);
      }
    }
  }

  __device__ __forceinline__ void compute(const Item& item) {
    low = high = RowState{};
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
      sums[pair][0] = sums[pair][1] = make_float4(0, 0, 0, 0);
    }
    load_query(item);
    for (uint32_t piece = item.piece_begin; piece < item.piece_end; ++piece) {
      const uint32_t left = item.tokens() - piece * kKvPieceTokens;
      const uint32_t tiles = piece_tiles(item, piece);
      float2 highest[kWarps];
      weigh_keys(left, tiles, highest);
      weigh_piece(left, tiles, highest);
    }
  }

  // Calls f(head of the group, column, two sums) for what this lane holds.
  template <typename F>
  __device__ __forceinline__ void each_sum(F f) const {
    const uint32_t group = p.args.shape.heads / p.args.shape.kv_heads;
    const uint32_t g = lane / 4;
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
      if (!owns(pair)) continue;
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
        const float4& sum = sums[pair][half];
        if (g < group) f(g, column(pair, half), make_float2(sum.x, sum.y));
        if (g + 8 < group) f(g + 8, column(pair, half), make_float2(sum.z, sum.w));
      }
    }
  }
};

}  // namespace sluice::decode
