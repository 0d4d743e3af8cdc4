// Decode attention: blocks take items in turn. What an item is and how it is computed stands in
// attention_decode.cuh; here pieces of a row that was cut meet in the scratch, where the last to
// arrive merges them in order.
#include <algorithm>

#include "kernels/cuda/attention_place.cuh"
#include "kernels/cuda/launch.cuh"

namespace sluice {
namespace {

using decode::DecodeParameters;
using decode::Item;
using decode::Rings;
using decode::Shared;

// Fewer buffers than a piece's keys and a tile of its values leave the memory idle.
constexpr uint32_t kBuffersWanted = 5;
constexpr uint32_t kBuffersLeast = 2;

__device__ __forceinline__ uint32_t group_heads(const DecodeParameters& p) {
  return p.args.shape.heads / p.args.shape.kv_heads;
}

__device__ __forceinline__ uint16_t* out_row(const DecodeParameters& p, const Item& item) {
  return p.args.out + uint64_t{item.row_index} * p.args.out_stride;
}

// Where the piece's sums are kept, counted in heads.
__device__ __forceinline__ uint64_t partial_head(const DecodeParameters& p,
                                                 const Item& item,
                                                 uint32_t piece,
                                                 uint32_t group) {
  const auto first = static_cast<uint64_t>(item.row.partial_begin);
  return ((first + piece) * p.args.shape.kv_heads + item.kv_head) * group;
}

template <uint32_t kDim>
__device__ __forceinline__ void write_row(const DecodeParameters& p,
                                          const decode::Computer<kDim>& computer,
                                          const Item& item) {
  const uint32_t group = group_heads(p);
  uint16_t* out = out_row(p, item) + item.kv_head * group * kDim;
  const float low = __frcp_rn(computer.low.total);
  const float high = __frcp_rn(computer.high.total);
  computer.each_sum([&](uint32_t head, uint32_t column, float2 sum) {
    const float factor = head < 8 ? low : high;
    *reinterpret_cast<uint32_t*>(out + head * kDim + column) =
        pack_bf16(__fmul_rn(sum.x, factor), __fmul_rn(sum.y, factor));
  });
}

template <uint32_t kDim>
__device__ __forceinline__ void write_partial(const DecodeParameters& p,
                                              const decode::Computer<kDim>& computer,
                                              const Item& item) {
  const uint32_t group = group_heads(p);
  const uint64_t first = partial_head(p, item, item.piece_begin, group);
  computer.each_sum([&](uint32_t head, uint32_t column, float2 sum) {
    *reinterpret_cast<float2*>(p.scratch.sums + (first + head) * kDim + column) = sum;
  });
  const uint32_t g = computer.lane / 4;
  if (computer.warp > 0 || computer.lane % 4 > 0) return;
  if (g < group) {
    p.scratch.states[first + g] = make_float2(computer.low.highest, computer.low.total);
  }
  if (g + 8 < group) {
    p.scratch.states[first + g + 8] = make_float2(computer.high.highest, computer.high.total);
  }
}

// From the computing warps, which have written a piece's sums, to the merging warp.
struct Handover {
  uint32_t written;  // barriers in shared memory
  uint32_t looked;
  RingPlace place;

  __device__ __forceinline__ void give() {
    if (place.round > 0) barrier_wait(looked + place.index * kBarrierBytes, (place.round - 1) & 1);
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(written + place.index * kBarrierBytes);
    place.advance(decode::kHandoversMax);
  }
  __device__ __forceinline__ void take() {
    barrier_wait(written + place.index * kBarrierBytes, place.round & 1);
  }
  __device__ __forceinline__ void done() {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(looked + place.index * kBarrierBytes);
    place.advance(decode::kHandoversMax);
  }
};

// True, in the whole merging warp, where the row's other pieces have come before.
__device__ __forceinline__ bool is_last(const DecodeParameters& p, const Item& item) {
  const auto tokens = static_cast<uint32_t>(item.row.tokens);
  const uint32_t pieces = (tokens + kKvPieceTokens - 1) / kKvPieceTokens;
  uint32_t before = 0;
  __threadfence();
  if (threadIdx.x % 32 == 0) {
    uint32_t* arrivals = p.scratch.arrivals + item.row_index * p.args.shape.kv_heads + item.kv_head;
    before = atomicAdd(arrivals, 1);
    if (before + 1 == pieces) *arrivals = 0;
    __threadfence();
  }
  return __shfl_sync(0xFFFFFFFFu, before, 0) + 1 == pieces;
}

// Four columns of one head.
struct MergedColumns {
  RowState state;
  float4 sum;
};

__device__ __forceinline__ void merge_one(MergedColumns* merged,
                                          const float2& next,
                                          const float4& part,
                                          float scale) {
  const MergeFactors factors = merge_state(&merged->state, {next.x, next.y}, scale);
  merged->sum.x = merge_sum(merged->sum.x, part.x, factors);
  merged->sum.y = merge_sum(merged->sum.y, part.y, factors);
  merged->sum.z = merge_sum(merged->sum.z, part.z, factors);
  merged->sum.w = merge_sum(merged->sum.w, part.w, factors);
}

__device__ __forceinline__ uint2 normalised(const MergedColumns& merged) {
  const float factor = __frcp_rn(merged.state.total);
  const float4& sum = merged.sum;
  return make_uint2(pack_bf16(__fmul_rn(sum.x, factor), __fmul_rn(sum.y, factor)),
                    pack_bf16(__fmul_rn(sum.z, factor), __fmul_rn(sum.w, factor)));
}

// One warp, pieces in order, some columns of all heads at once: what counts is how many reads are
// under way together.
template <uint32_t kDim>
__device__ __forceinline__ void merge_pieces(const DecodeParameters& p, const Item& item) {
  constexpr uint32_t kQuads = kDim / 4;
  constexpr uint32_t kAtOnce = 4;
  const uint32_t group = group_heads(p);
  const uint32_t units = group * kQuads;
  const auto tokens = static_cast<uint32_t>(item.row.tokens);
  const uint32_t pieces = (tokens + kKvPieceTokens - 1) / kKvPieceTokens;
  const uint64_t step = uint64_t{p.args.shape.kv_heads} * group;
  for (uint32_t base = threadIdx.x % 32; base < units; base += 32 * kAtOnce) {
    MergedColumns merged[kAtOnce] = {};
    uint64_t at = partial_head(p, item, 0, group);
#pragma unroll 3
    for (uint32_t piece = 0; piece < pieces; ++piece, at += step) {
      float2 next[kAtOnce];
      float4 part[kAtOnce];
#pragma unroll
      for (uint32_t j = 0; j < kAtOnce; ++j) {
        const uint32_t unit = min(base + j * 32, units - 1);  // past the end: read twice, not kept
        const uint64_t head = at + unit / kQuads;
        next[j] = __ldcg(p.scratch.states + head);
        part[j] =
            __ldcg(reinterpret_cast<const float4*>(p.scratch.sums + head * kDim) + unit % kQuads);
      }
#pragma unroll
      for (uint32_t j = 0; j < kAtOnce; ++j) merge_one(&merged[j], next[j], part[j], p.scale);
    }
#pragma unroll
    for (uint32_t j = 0; j < kAtOnce; ++j) {
      const uint32_t unit = base + j * 32;
      if (unit >= units) continue;
      uint16_t* out = out_row(p, item) + (item.kv_head * group + unit / kQuads) * kDim;
      *reinterpret_cast<uint2*>(out + unit % kQuads * 4) = normalised(merged[j]);
    }
  }
}

// The warp that places rows, an item ahead, and lets pieces meet, an item behind.
template <uint32_t kDim>
__device__ void help_items(const DecodeParameters& p,
                           const DecodeRow* plan,
                           Shared& shared,
                           const Rings& rings) {
  Handover handover = {shared_address(shared.written), shared_address(shared.looked), {}};
  decode::Placer<kDim> placer(p, rings.query);
  Item item;
  Item next;
  uint32_t i = blockIdx.x;
  bool has_item = decode::find_item(p, plan, i, &item);
  if (has_item && decode::places(p)) placer.place(item);
  while (has_item) {
    const bool has_next = decode::find_item(p, plan, i += gridDim.x, &next);
    if (has_next && decode::places(p)) placer.place(next);
    if (item.row.partial_begin >= 0) {
      handover.take();
      if (is_last(p, item)) merge_pieces<kDim>(p, item);
      handover.done();
    }
    item = next;
    has_item = has_next;
  }
}

template <uint32_t kDim>
__device__ void compute_items(const DecodeParameters& p,
                              const DecodeRow* plan,
                              Shared& shared,
                              const Rings& rings) {
  decode::Computer<kDim> computer{
      p, shared, rings, threadIdx.x / 32, threadIdx.x % 32, {}, {}, 0, {}, {}, {}};
  Handover handover = {shared_address(shared.written), shared_address(shared.looked), {}};
  Item item;
  for (uint32_t i = blockIdx.x; decode::find_item(p, plan, i, &item); i += gridDim.x) {
    computer.compute(item);
    if (item.row.partial_begin < 0) {
      write_row(p, computer, item);
    } else {
      write_partial(p, computer, item);
      handover.give();
    }
  }
}

__device__ __forceinline__ void start_barriers(const Rings& rings, Shared& shared) {
  rings.query.init(decode::kWarps);
  rings.kv.init(decode::kWarps);
  for (uint32_t i = 0; i < decode::kHandoversMax; ++i) {
    barrier_init(shared_address(shared.written + i), decode::kWarps);
    barrier_init(shared_address(shared.looked + i), 1);
  }
}

// Wider heads need a processor for themselves anyway.
template <uint32_t kDim>
constexpr uint32_t kResident = kDim > 128 ? 1 : kBlocksPerProcessor;

template <uint32_t kDim>
__global__ void __launch_bounds__(decode::kThreads, kResident<kDim>)
    decode_kernel(const DecodeParameters p) {
  extern __shared__ __align__(128) char memory[];
  constexpr uint32_t kQueryBytes = decode::kQueryRows * decode::kQueryStride<kDim>;
  char* queries = memory + p.buffers * kTileBytes<kDim>;
  auto& shared = *reinterpret_cast<Shared*>(queries + decode::kQueryBuffers * kQueryBytes);
  auto* plan = reinterpret_cast<DecodeRow*>(&shared + 1);
  const Rings rings = {{shared_address(shared.query_full),
                        shared_address(shared.query_empty),
                        shared_address(queries),
                        decode::kQueryBuffers,
                        kQueryBytes},
                       {shared_address(shared.full),
                        shared_address(shared.empty),
                        shared_address(memory),
                        p.buffers,
                        kTileBytes<kDim>}};
  pdl_launch_dependents();
  if (threadIdx.x == 0) start_barriers(rings, shared);
  // Rows past the group stay zeros; only the others are copied to.
  const uint32_t first = group_heads(p) * decode::kQueryStride<kDim> / 4;
  for (uint32_t i = first + threadIdx.x; i < kQueryBytes / 4; i += decode::kThreads) {
    for (uint32_t buffer = 0; buffer < decode::kQueryBuffers; ++buffer) {
      reinterpret_cast<uint32_t*>(queries + buffer * kQueryBytes)[i] = 0;
    }
  }
  if (p.is_few) {
    if (threadIdx.x / 32 == decode::kHelpWarp) decode::plan_few(p, plan);
    __syncthreads();
    // The first block waits in any case: what comes after this kernel comes after its predecessors.
    const auto items = static_cast<uint32_t>(plan[p.rows].item_begin) * p.args.shape.kv_heads;
    if (blockIdx.x > 0 && blockIdx.x >= items) return;
  }
  pdl_wait();
  for (uint32_t i = threadIdx.x; i <= p.rows && !p.is_few; i += decode::kThreads) {
    *reinterpret_cast<int4*>(plan + i) = *reinterpret_cast<const int4*>(p.scratch.rows + i);
  }
  __syncthreads();
  const uint32_t warp = threadIdx.x / 32;
  if (warp == decode::kCopyWarp) {
    decode::copy_items<kDim>(p, plan, rings);
  } else if (warp == decode::kHelpWarp) {
    help_items<kDim>(p, plan, shared, rings);
  } else {
    compute_items<kDim>(p, plan, shared, rings);
  }
}

template <uint32_t kDim>
uint32_t fixed_bytes(uint32_t rows) {
  constexpr uint32_t kQueries =
      decode::kQueryBuffers * decode::kQueryRows * decode::kQueryStride<kDim>;
  return static_cast<uint32_t>(kQueries + sizeof(Shared) + (rows + 1) * sizeof(DecodeRow));
}

// As many as fit beside a second block, or, where that is too few, in the whole processor.
template <uint32_t kDim>
uint32_t ring_buffers(uint32_t rows) {
  constexpr uint32_t kReserved = 1024;  // that a block costs beside its own
  const AttentionDevice& device = attention_device();
  const auto fit = [&](uint32_t bytes) {
    const uint32_t fixed = fixed_bytes<kDim>(rows);
    return bytes <= fixed ? 0 : std::min((bytes - fixed) / kTileBytes<kDim>, decode::kBuffersMax);
  };
  const uint32_t half = device.shared_per_processor / kBlocksPerProcessor - kReserved;
  const uint32_t beside = fit(std::min(half, device.shared_per_block));
  return beside >= kBuffersWanted ? beside : fit(device.shared_per_block);
}

}  // namespace

Status prepare_decode(const PagedAttentionShape& shape) {
  return with_head_dim(shape.head_dim, [&]<uint32_t kDim>() -> Status {
    SLUICE_RETURN_IF_CUDA(
        cudaFuncSetAttribute(decode_kernel<kDim>,
                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(attention_device().shared_per_block)));
    if (ring_buffers<kDim>(0) >= kBuffersLeast) return Status::ok();
    return {StatusCode::kUnsupported,
            "attention: head_dim " + std::to_string(kDim) + " needs more shared memory than the " +
                std::to_string(attention_device().shared_per_block) + " bytes of this device"};
  });
}

Status decode_attention(const PagedAttentionArgs& args,
                        const StepBatch& step,
                        DeviceStream stream) {
  return with_head_dim(args.shape.head_dim, [&]<uint32_t kDim>() -> Status {
    DecodeParameters p{};
    p.args = args;
    p.scratch = view_scratch(args.scratch, args.shape);
    p.block_tables = step.block_tables;
    p.seq_context = step.seq_context;
    p.seq_slot = step.seq_slot;
    p.blocks_per_sequence_max = step.blocks_per_sequence_max;
    p.rows = step.decode_sequences;
    p.is_few = is_few(args.shape, p.rows);
    p.buffers = ring_buffers<kDim>(p.rows);
    p.scale = score_scale(kDim);
    const LaunchShape shape{dim3(decode_blocks()),
                            dim3(decode::kThreads),
                            p.buffers * kTileBytes<kDim> + fixed_bytes<kDim>(p.rows)};
    return launch_kernel(decode_kernel<kDim>, shape, stream, p);
  });
}

}  // namespace sluice
