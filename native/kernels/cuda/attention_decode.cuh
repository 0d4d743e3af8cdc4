// What the warps of a decode block do with an item, which is one piece of a row and KV head, or a
// whole row: one warp copies queries, keys and values into rings, four compute. Each of the four
// scores one tile of 64 keys of the piece; then, weights shared, each sums its own columns of the
// values over the whole piece. Another warp lets pieces meet (attention_decode.cu) and places
// rows (attention_place.cuh).
#pragma once

#include "kernels/cuda/attention_items.cuh"
#include "kernels/cuda/kv_tile.cuh"

namespace sluice::decode {

inline constexpr uint32_t kWarps = 4;  // that compute
inline constexpr uint32_t kCopyWarp = kWarps;
inline constexpr uint32_t kHelpWarp = kWarps + 1;
inline constexpr uint32_t kThreads = (kWarps + 2) * 32;
inline constexpr uint32_t kRows = 16;
// Bytes between rows of weights in shared memory: 16 more than the piece, against bank conflicts.
inline constexpr uint32_t kWeightStride = kKvPieceTokens * 2 + 16;
inline constexpr uint32_t kBuffersMax = 12;
inline constexpr uint32_t kQueryBuffers = 2;
// A query buffer's rows after the queries: the key and value of the row's own token, where the
// kernel places rows itself.
inline constexpr uint32_t kOwnKeyRow = kRows;
inline constexpr uint32_t kOwnValueRow = kRows + 1;
inline constexpr uint32_t kQueryRows = kRows + 2;
// Items whose sums are written and have not been looked at by the merging warp.
inline constexpr uint32_t kHandoversMax = 2;

// The same for query rows.
template <uint32_t kDim>
inline constexpr uint32_t kQueryStride = kDim * 2 + 16;

static_assert(kKvPieceTokens == kWarps * kKeyTile);

// Shared memory beside the ring.
struct Shared {
  alignas(16) char weights[kRows * kWeightStride];
  float highest[2][kWarps][kRows];  // by turns: a warp may be a piece ahead
  uint64_t full[kBuffersMax];
  uint64_t empty[kBuffersMax];
  uint64_t query_full[kQueryBuffers];
  uint64_t query_empty[kQueryBuffers];
  uint64_t written[kHandoversMax];
  uint64_t looked[kHandoversMax];
};

// Of queries, and of keys and values.
struct Rings {
  CopyRing query;
  CopyRing kv;
};

__device__ __forceinline__ void wait_for_computing_warps() {
  asm volatile("bar.sync 1, 128;\n" ::: "memory");
}

template <uint32_t kDim>
__device__ __forceinline__ void copy_query(const DecodeParameters& p,
                                           const Item& item,
                                           const CopyRing& ring,
                                           const RingPlace& place) {
  const uint32_t group = p.args.shape.heads / p.args.shape.kv_heads;
  const uint16_t* query =
      p.args.q + uint64_t{item.row_index} * p.args.q_stride + item.kv_head * group * kDim;
  ring.wait_empty(place);
  copy_runs(ring, place, {group, kDim * 2, kQueryStride<kDim>}, [&](uint32_t head) {
    return query + head * kDim;
  });
}

template <uint32_t kDim>
__device__ void copy_items(const DecodeParameters& p, const DecodeRow* plan, const Rings& rings) {
  const CopyRing& ring = rings.kv;
  RingPlace place;
  RingPlace query_place;
  Item item;
  for (uint32_t i = blockIdx.x; find_item(p, plan, i, &item); i += gridDim.x) {
    const auto slot = static_cast<uint64_t>(item.row.slot);
    const KvSource<kDim> source = {p.args.keys,
                                   p.args.values,
                                   p.block_tables + slot * p.blocks_per_sequence_max,
                                   item.kv_head,
                                   p.args.shape.kv_heads};
    if (!places(p)) copy_query<kDim>(p, item, rings.query, query_place);
    query_place.advance(kQueryBuffers);
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
  const Rings& rings;
  uint32_t warp;
  uint32_t lane;
  RingPlace place;
  RingPlace query_place;
  uint32_t turn;
  RowState low;  // row g and row g + 8 of the item so far
  RowState high;
  float4 sums[kPairs][2];

  __device__ __forceinline__ bool owns(uint32_t pair) const {
    return kDim % (16 * kWarps) == 0 || pair * kWarps + warp < kSteps;
  }
  __device__ __forceinline__ uint32_t column(uint32_t pair, uint32_t half) const {
    return (pair * kWarps + warp) * 16 + half * 8 + lane % 4 * 2;
  }

  __device__ __forceinline__ FragmentA load_query(uint32_t query, uint32_t step) const {
    const uint32_t row = lane / 8 % 2 * 8 + lane % 8;
    const uint4 a = load_matrix4(query + row * kQueryStride<kDim> + step * 32 + lane / 16 * 16);
    return {{a.x, a.y, a.z, a.w}};
  }

  // Puts chunks `first` .. of the row's own key or value (row `own` of the query buffer) where the
  // copy of its block has left what was there before.
  __device__ __forceinline__ void put_own(uint32_t own,
                                          uint32_t left,
                                          uint32_t first,
                                          uint32_t count) const {
    if (lane >= count) return;
    const uint32_t token = left - 1;
    const uint32_t from = rings.query.at(query_place) + own * kQueryStride<kDim>;
    const uint32_t to = tile_address<kDim>(
        rings.kv.at(place), token / kBlockTokens % kTileBlocks, token % kBlockTokens, first + lane);
    const uint4 v = load_shared16(from + (first + lane) * 16);
    asm volatile(
        "st.shared.v4.u32 [%0], {%1,%2,%3,%4};\n" ::"r"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
        : "memory");
  }

  // Before the tile is given back to the copies, which write past the ordinary stores' order.
  __device__ __forceinline__ void own_is_put() const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
  }

  // Scores of this warp's tile, as weights in shared memory, and their highest.
  __device__ __forceinline__ void weigh_keys(uint32_t left, uint32_t tiles) {
    const CopyRing& ring = rings.kv;
    float4 scores[8];
    float2 own = {masked_score(), masked_score()};
    for (uint32_t t = 0; t < tiles; ++t) {
      ring.wait_full(place);
      // The row's own token is the last of its last tile.
      const bool puts = places(p) && t == warp && left <= (t + 1) * kKeyTile;
      if (puts) {
        put_own(kOwnKeyRow, left, 0, kDim / kKvChunk);
        __syncwarp();
      }
      if (t == warp) {
        const uint32_t query = rings.query.at(query_place);
        score_tile<kDim, 4>(
            scores, ring.at(place), [&](uint32_t step) { return load_query(query, step); });
        const auto seen = static_cast<int32_t>(left - t * kKeyTile);
        if (left < (t + 1) * kKeyTile) mask_scores(scores, seen, seen);
        own = highest_scores(scores);
      }
      if (puts) own_is_put();
      ring.release(place);
      place.advance(ring.buffers);
    }
    const uint32_t g = lane / 4;
    if (lane % 4 == 0) {
      shared.highest[turn][warp][g] = own.x;
      shared.highest[turn][warp][g + 8] = own.y;
    }
    wait_for_computing_warps();
    for (uint32_t t = 0; t < warp; ++t) own = higher(own, t);
    if (warp < tiles) store_weights(scores, own);
    wait_for_computing_warps();
  }

  // With what tile t of the piece has.
  __device__ __forceinline__ float2 higher(float2 than, uint32_t t) const {
    return {fmaxf(than.x, shared.highest[turn][t][lane / 4]),
            fmaxf(than.y, shared.highest[turn][t][lane / 4 + 8])};
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
  __device__ __forceinline__ void weigh_piece(uint32_t left, uint32_t tiles) {
    const CopyRing& ring = rings.kv;
    float4 part[kPairs][2];
    float4 totals = make_float4(0, 0, 0, 0);
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
      part[pair][0] = part[pair][1] = make_float4(0, 0, 0, 0);
    }
    float2 before = {masked_score(), masked_score()};
#pragma unroll 1
    for (uint32_t t = 0; t < tiles; ++t) {
      const float2 now = higher(before, t);
      const float keep_low = rescale(before.x, now.x, p.scale);
      const float keep_high = rescale(before.y, now.y, p.scale);
      before = now;
      scale_rows(totals, keep_low, keep_high);
#pragma unroll
      for (uint32_t pair = 0; pair < kPairs; ++pair) {
        scale_rows(part[pair][0], keep_low, keep_high);
        scale_rows(part[pair][1], keep_low, keep_high);
      }
      ring.wait_full(place);
      const uint32_t tile = ring.at(place);
      const bool puts = places(p) && left <= (t + 1) * kKeyTile;
      if (puts) {
#pragma unroll
        for (uint32_t pair = 0; pair < kPairs; ++pair) {
          if (owns(pair)) put_own(kOwnValueRow, left, (pair * kWarps + warp) * 2, 2);
        }
        __syncwarp();
      }
      if (left >= (t + 1) * kKeyTile) {
#pragma unroll
        for (uint32_t block = 0; block < kTileBlocks; ++block) {
          weigh_block<false>(totals, part, tile, block, {}, t);
        }
      } else {
        const uint32_t whole = (left - t * kKeyTile) / kBlockTokens;
        const uint32_t rest = left % kBlockTokens;
        for (uint32_t block = 0; block < whole; ++block) {
          weigh_block<false>(totals, part, tile, block, {}, t);
        }
        if (rest > 0) weigh_block<true>(totals, part, tile, whole, value_mask(rest), t);
      }
      if (puts) own_is_put();
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
    rings.query.wait_full(query_place);
    for (uint32_t piece = item.piece_begin; piece < item.piece_end; ++piece) {
      const uint32_t left = item.tokens() - piece * kKvPieceTokens;
      const uint32_t tiles = piece_tiles(item, piece);
      weigh_keys(left, tiles);
      weigh_piece(left, tiles);
      turn ^= 1;
    }
    rings.query.release(query_place);
    query_place.advance(kQueryBuffers);
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
