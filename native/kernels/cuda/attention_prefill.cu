// Prefill attention. A block takes 128 rows (token, head) of one sequence and KV head, or 64 where
// a head is wider than 128, and walks the keys that they see in tiles of 64, 16 rows a warp, scores
// and weights in registers. Heads wider than 128 have two warps for the same rows, with half of the
// columns each. The first warp also keeps a ring of tiles filled: a warp for that alone would cost
// all others a third of their registers.
//
// Sums are kept a piece at a time and merged into the row's at the end of each, as decode does.
#include <algorithm>

#include "kernels/cuda/attention_parts.cuh"
#include "kernels/cuda/kv_tile.cuh"
#include "kernels/cuda/launch.cuh"

namespace sluice {
namespace {

constexpr uint32_t kWarps = 8;
constexpr uint32_t kThreads = kWarps * 32;
constexpr uint32_t kWarpRows = 16;
constexpr uint32_t kBuffersMax = 8;  // in pairs, keys and values of one tile
constexpr uint32_t kBuffersLeast = 4;

// Warps that share 16 rows, and rows of a block.
template <uint32_t kDim>
constexpr uint32_t kColumnSplits = kDim > 128 ? 2 : 1;
template <uint32_t kDim>
constexpr uint32_t kTileRows = kWarps / kColumnSplits<kDim> * kWarpRows;

struct PrefillParameters {
  PagedAttentionArgs args;
  StepBatch step;
  uint32_t group;
  uint32_t tile_tokens;
  uint32_t buffers;
  float scale;  // of scores, times log2(e)
};

struct Shared {
  uint64_t full[kBuffersMax];
  uint64_t empty[kBuffersMax];
};

// A block's work: query tokens [first, first + tokens) of a sequence whose first row is `row`.
struct QueryTile {
  uint32_t sequence;
  uint32_t kv_head;
  uint32_t row;       // of the tile's first token, in the step
  uint32_t position;  // of the tile's first token, in the sequence
  uint32_t tokens;

  __device__ __forceinline__ uint32_t keys() const { return position + tokens; }
};

// Longest first: the last tiles of the last sequences see most keys.
__device__ __forceinline__ QueryTile find_tile(const PrefillParameters& p) {
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t kv_heads = p.args.shape.kv_heads;
  const uint32_t wanted = p.args.prefill_tiles - 1 - blockIdx.x / kv_heads;
  uint32_t before = 0;
  QueryTile tile = {};
  tile.kv_head = blockIdx.x % kv_heads;
  for (uint32_t base = p.step.decode_sequences; base < p.step.sequences; base += 32) {
    const uint32_t s = min(base + lane, p.step.sequences - 1);
    const auto begin = static_cast<uint32_t>(p.step.seq_query_start[s]);
    const auto end = static_cast<uint32_t>(p.step.seq_query_start[s + 1]);
    const bool counts = base + lane < p.step.sequences && p.step.seq_slot[s] >= 0;
    const uint32_t tiles = counts ? (end - begin + p.tile_tokens - 1) / p.tile_tokens : 0;
    uint32_t sum = tiles;
#pragma unroll
    for (uint32_t offset = 1; offset < 32; offset *= 2) {
      const uint32_t other = __shfl_up_sync(0xFFFFFFFFu, sum, offset);
      if (lane >= offset) sum += other;
    }
    const uint32_t owner = __ballot_sync(0xFFFFFFFFu, before + sum > wanted);
    if (owner == 0) {
      before += __shfl_sync(0xFFFFFFFFu, sum, 31);
      continue;
    }
    const int from = __ffs(static_cast<int>(owner)) - 1;
    const uint32_t skipped = wanted - before - __shfl_sync(0xFFFFFFFFu, sum - tiles, from);
    const uint32_t first = __shfl_sync(0xFFFFFFFFu, begin, from) + skipped * p.tile_tokens;
    tile.sequence = base + static_cast<uint32_t>(from);
    tile.row = first;
    tile.tokens = min(__shfl_sync(0xFFFFFFFFu, end, from) - first, p.tile_tokens);
    tile.position =
        static_cast<uint32_t>(p.step.seq_context[tile.sequence]) + skipped * p.tile_tokens;
    break;
  }
  return tile;
}

// Copies the tile's keys and values to the ring, 64 positions at a time. Whole warps call it.
template <uint32_t kDim>
struct Copier {
  KvSource<kDim> source;
  const CopyRing& ring;
  uint32_t end;
  uint32_t begin;
  int32_t ids;  // of this piece's blocks, and of the next one's
  int32_t next_ids;
  RingPlace place;

  __device__ __forceinline__ Copier(const PrefillParameters& p,
                                    const QueryTile& tile,
                                    const CopyRing& to)
      : source{p.args.keys,
               p.args.values,
               p.step.block_tables + static_cast<uint64_t>(p.step.seq_slot[tile.sequence]) *
                                         p.step.blocks_per_sequence_max,
               tile.kv_head,
               p.args.shape.kv_heads},
        ring(to),
        end(tile.keys()),
        begin(0),
        ids(0),
        next_ids(source.piece_blocks(0, tile.keys())) {}

  __device__ __forceinline__ void copy_next() {
    if (begin >= end) return;
    if (begin % kKvPieceTokens == 0) {
      ids = next_ids;
      next_ids = source.piece_blocks(begin / kKvPieceTokens + 1, end);
    }
    for (uint32_t which = 0; which < 2; ++which) {
      ring.wait_empty(place);
      source.copy_tile(ring, place, which == 0 ? source.keys : source.values, ids, begin, end);
      place.advance(ring.buffers);
    }
    begin += kKeyTile;
  }
};

template <uint32_t kDim>
struct Computer {
  static constexpr uint32_t kSplits = kColumnSplits<kDim>;
  static constexpr uint32_t kPairs = kDim / 16 / kSplits;  // of column octets that this warp sums

  const PrefillParameters& p;
  const CopyRing& ring;
  const QueryTile& tile;
  uint32_t query;      // shared memory: this block's rows, chunks placed as in the cache
  uint32_t first_row;  // of this warp, in the block
  uint32_t first_pair;
  RingPlace place;
  RowState low;  // rows g and g + 8, pieces before this one
  RowState high;
  float4 sums[kPairs][2];
  float2 highest;  // of this piece
  float4 totals;
  float4 part[kPairs][2];

  // Positions that row `row` of the block sees; a row past the tile's end sees what the last does.
  __device__ __forceinline__ uint32_t seen(uint32_t row) const {
    return tile.position + min(row / p.group, tile.tokens - 1) + 1;
  }

  __device__ __forceinline__ FragmentA load_query(uint32_t step) const {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t row = lane / 8 % 2 * 8 + lane % 8;
    const uint32_t chunk = kv_stored_chunk(row, step * 2 + lane / 16, kDim);
    const uint4 a = load_matrix4(query + row * (kDim * 2) + chunk * 16);
    return {{a.x, a.y, a.z, a.w}};
  }

  __device__ __forceinline__ void start_piece() {
    highest = make_float2(masked_score(), masked_score());
    totals = make_float4(0, 0, 0, 0);
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
      part[pair][0] = part[pair][1] = make_float4(0, 0, 0, 0);
    }
  }

  __device__ __forceinline__ void end_piece() {
    const MergeFactors f = merge_state(&low, {highest.x, totals.x}, p.scale);
    const MergeFactors h = merge_state(&high, {highest.y, totals.z}, p.scale);
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

  // Scores of the tile at `begin`; then they are weights, and sums so far stand under the new
  // highest score.
  __device__ __forceinline__ void weigh_keys(float4 (&scores)[8], uint32_t begin) {
    ring.wait_full(place);
    score_tile<kDim, kDim / 16>(
        scores, ring.at(place), [&](uint32_t step) { return load_query(step); });
    ring.release(place);
    place.advance(ring.buffers);
    if (seen(first_row) < begin + kKeyTile) {
      const uint32_t g = threadIdx.x % 32 / 4;
      mask_scores(scores,
                  static_cast<int32_t>(seen(first_row + g) - begin),
                  static_cast<int32_t>(seen(first_row + g + 8) - begin));
    }
    float2 now = highest_scores(scores);
    now.x = fmaxf(highest.x, now.x);
    now.y = fmaxf(highest.y, now.y);
    const float keep_low = rescale(highest.x, now.x, p.scale);
    const float keep_high = rescale(highest.y, now.y, p.scale);
    highest = now;
    scale_rows(totals, keep_low, keep_high);
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
      scale_rows(part[pair][0], keep_low, keep_high);
      scale_rows(part[pair][1], keep_low, keep_high);
    }
  }

  template <bool kMasked>
  __device__ __forceinline__ void weigh_block(const float4& left,
                                              const float4& right,
                                              uint32_t values,
                                              uint32_t block,
                                              const ValueMask& mask) {
    const float shift_low = negated(highest.x, p.scale);
    const float shift_high = negated(highest.y, p.scale);
    const FragmentA weights = {{weights_of(left.x, left.y, p.scale, shift_low),
                                weights_of(left.z, left.w, p.scale, shift_high),
                                weights_of(right.x, right.y, p.scale, shift_low),
                                weights_of(right.z, right.w, p.scale, shift_high)}};
    mma_bf16(totals, weights, ones());
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
      const uint4 v = load_values<kDim>(values, block, first_pair + pair);
      weigh_values<kDim, kMasked>(part[pair], weights, v, mask);
    }
  }

  __device__ __forceinline__ void weigh_values_of(const float4 (&scores)[8], uint32_t begin) {
    ring.wait_full(place);
    const uint32_t values = ring.at(place);
    const uint32_t left = tile.keys() - begin;
#pragma unroll
    for (uint32_t block = 0; block < kTileBlocks; ++block) {
      if (left >= (block + 1) * kBlockTokens) {
        weigh_block<false>(scores[2 * block], scores[2 * block + 1], values, block, {});
      } else if (left > block * kBlockTokens) {
        const ValueMask mask = value_mask(left - block * kBlockTokens);
        weigh_block<true>(scores[2 * block], scores[2 * block + 1], values, block, mask);
      }
    }
    ring.release(place);
    place.advance(ring.buffers);
  }

  // `refill` is called when the tile before this one is no longer needed by this warp.
  template <typename Refill>
  __device__ __forceinline__ void compute(Refill refill) {
    low = high = RowState{};
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
      sums[pair][0] = sums[pair][1] = make_float4(0, 0, 0, 0);
    }
    start_piece();
    for (uint32_t begin = 0; begin < tile.keys(); begin += kKeyTile) {
      if (begin > 0) refill();
      float4 scores[8];
      weigh_keys(scores, begin);
      weigh_values_of(scores, begin);
      if ((begin + kKeyTile) % kKvPieceTokens == 0 || begin + kKeyTile >= tile.keys()) {
        end_piece();
        start_piece();
      }
    }
  }

  __device__ __forceinline__ void write_half(uint32_t row, bool is_high) {
    if (row / p.group >= tile.tokens) return;
    const float factor = __frcp_rn(is_high ? high.total : low.total);
    const uint32_t head = tile.kv_head * p.group + row % p.group;
    uint16_t* out = p.args.out + uint64_t{tile.row + row / p.group} * p.args.out_stride +
                    head * kDim + threadIdx.x % 4 * 2;
#pragma unroll
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
        const float4& sum = sums[pair][half];
        const float x = is_high ? sum.z : sum.x;
        const float y = is_high ? sum.w : sum.y;
        *reinterpret_cast<uint32_t*>(out + (first_pair + pair) * 16 + half * 8) =
            pack_bf16(__fmul_rn(x, factor), __fmul_rn(y, factor));
      }
    }
  }
};

// The block's query rows, to shared memory; rows past the tile's end are zeros.
template <uint32_t kDim>
__device__ void load_queries(const PrefillParameters& p, const QueryTile& tile, char* to) {
  constexpr uint32_t kChunks = kDim / kKvChunk;
  for (uint32_t i = threadIdx.x; i < kTileRows<kDim> * kChunks; i += kThreads) {
    const uint32_t row = i / kChunks;
    const uint32_t chunk = i % kChunks;
    uint4 value = make_uint4(0, 0, 0, 0);
    if (row / p.group < tile.tokens) {
      const uint32_t head = tile.kv_head * p.group + row % p.group;
      const uint16_t* from = p.args.q + uint64_t{tile.row + row / p.group} * p.args.q_stride +
                             head * kDim + chunk * kKvChunk;
      value = *reinterpret_cast<const uint4*>(from);
    }
    const uint32_t stored = kv_stored_chunk(row % kWarpRows, chunk, kDim);
    *reinterpret_cast<uint4*>(to + row * (kDim * 2) + stored * 16) = value;
  }
}

template <uint32_t kDim>
__global__ void __launch_bounds__(kThreads, 1) prefill_kernel(const PrefillParameters p) {
  extern __shared__ __align__(128) char memory[];
  const uint32_t ring_bytes = p.buffers * kTileBytes<kDim>;
  char* queries = memory + ring_bytes;
  auto& shared = *reinterpret_cast<Shared*>(queries + kTileRows<kDim> * kDim * 2);
  const CopyRing ring = {shared_address(shared.full),
                         shared_address(shared.empty),
                         shared_address(memory),
                         p.buffers,
                         kTileBytes<kDim>};
  pdl_launch_dependents();
  if (threadIdx.x == 0) ring.init(kWarps);
  pdl_wait();
  const QueryTile tile = find_tile(p);
  if (tile.tokens == 0) return;
  load_queries<kDim>(p, tile, queries);
  __syncthreads();
  const uint32_t warp = threadIdx.x / 32;
  Copier<kDim> copier(p, tile, ring);
  if (warp == 0) {
    for (uint32_t i = 0; i < p.buffers / 2; ++i) copier.copy_next();
  }
  constexpr uint32_t kSplits = kColumnSplits<kDim>;
  const uint32_t first_row = warp / kSplits * kWarpRows;
  Computer<kDim> computer{p,
                          ring,
                          tile,
                          shared_address(queries) + first_row * kDim * 2,
                          first_row,
                          warp % kSplits * Computer<kDim>::kPairs,
                          {},
                          {},
                          {},
                          {},
                          {},
                          {},
                          {}};
  computer.compute([&] {
    if (warp == 0) copier.copy_next();
  });
  const uint32_t row = first_row + threadIdx.x % 32 / 4;
  computer.write_half(row, false);
  computer.write_half(row + 8, true);
}

template <uint32_t kDim>
uint32_t fixed_bytes() {
  return static_cast<uint32_t>(sizeof(Shared)) + kTileRows<kDim> * kDim * 2;
}

template <uint32_t kDim>
uint32_t ring_buffers() {
  const uint32_t bytes = attention_device().shared_per_block;
  if (bytes < fixed_bytes<kDim>()) return 0;
  const uint32_t buffers = (bytes - fixed_bytes<kDim>()) / kTileBytes<kDim>;
  return std::min(buffers / 2 * 2, kBuffersMax);
}

}  // namespace

uint32_t prefill_tiles(uint32_t query_tokens, const PagedAttentionShape& shape) {
  const uint32_t rows = shape.head_dim > 128 ? kTileRows<256> : kTileRows<128>;
  const uint32_t tokens = rows / group_of(shape);
  return (query_tokens + tokens - 1) / tokens;
}

Status prepare_prefill(const PagedAttentionShape& shape) {
  return with_head_dim(shape.head_dim, [&]<uint32_t kDim>() -> Status {
    const auto most = static_cast<int>(attention_device().shared_per_block);
    SLUICE_RETURN_IF_CUDA(cudaFuncSetAttribute(
        prefill_kernel<kDim>, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
    if (ring_buffers<kDim>() >= kBuffersLeast) return Status::ok();
    return {StatusCode::kUnsupported,
            "attention: head_dim " + std::to_string(kDim) + " needs more shared memory than the " +
                std::to_string(most) + " bytes of this device"};
  });
}

Status prefill_attention(const PagedAttentionArgs& args,
                         const StepBatch& step,
                         DeviceStream stream) {
  return with_head_dim(args.shape.head_dim, [&]<uint32_t kDim>() -> Status {
    PrefillParameters p{};
    p.args = args;
    p.step = step;
    p.group = group_of(args.shape);
    p.tile_tokens = kTileRows<kDim> / p.group;
    p.buffers = ring_buffers<kDim>();
    p.scale = score_scale(kDim);
    const LaunchShape shape{dim3(args.prefill_tiles * args.shape.kv_heads),
                            dim3(kThreads),
                            p.buffers * kTileBytes<kDim> + fixed_bytes<kDim>()};
    return launch_kernel(prefill_kernel<kDim>, shape, stream, p);
  });
}

}  // namespace sluice
