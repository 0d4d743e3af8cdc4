// Decode attention: blocks take items in turn. What an item is and how it is computed stands in
// attention_decode.cuh; here pieces of a row that was cut meet in the scratch, where the last to
// arrive merges them in order.
#include <algorithm>

#include "kernels/cuda/attention_decode.cuh"
#include "kernels/cuda/launch.cuh"

namespace sluice {
namespace {

using decode::DecodeParameters;
using decode::Item;
using decode::Shared;

// Fewer buffers than a piece's keys and half its values leave the memory idle.
constexpr uint32_t kBuffersWanted = 6;
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

// True in all computing warps of the block whose piece of the row came last.
__device__ __forceinline__ bool arrive(const DecodeParameters& p,
                                       Shared& shared,
                                       const Item& item) {
  const auto tokens = static_cast<uint32_t>(item.row.tokens);
  const uint32_t pieces = (tokens + kKvPieceTokens - 1) / kKvPieceTokens;
  __threadfence();
  decode::wait_for_computing_warps();
  if (threadIdx.x == 0) {
    uint32_t* arrivals = p.scratch.arrivals + item.row_index * p.args.shape.kv_heads + item.kv_head;
    const uint32_t before = atomicAdd(arrivals, 1);
    shared.arrived = before + 1;
    if (before + 1 == pieces) *arrivals = 0;
    __threadfence();
  }
  decode::wait_for_computing_warps();
  return shared.arrived == pieces;
}

// Four columns of one head at a time, pieces in order.
template <uint32_t kDim>
__device__ __forceinline__ void merge_pieces(const DecodeParameters& p, const Item& item) {
  const uint32_t group = group_heads(p);
  const auto tokens = static_cast<uint32_t>(item.row.tokens);
  const uint32_t pieces = (tokens + kKvPieceTokens - 1) / kKvPieceTokens;
  const uint64_t first = partial_head(p, item, 0, group);
  const uint64_t step = uint64_t{p.args.shape.kv_heads} * group;
  constexpr uint32_t kQuads = kDim / 4;
  for (uint32_t unit = threadIdx.x; unit < group * kQuads; unit += decode::kWarps * 32) {
    const uint32_t head = unit / kQuads;
    RowState state;
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 4
    for (uint32_t piece = 0; piece < pieces; ++piece) {
      const uint64_t at = first + piece * step + head;
      const float2 next = __ldcg(p.scratch.states + at);
      const auto* sums = reinterpret_cast<const float4*>(p.scratch.sums + at * kDim);
      const float4 part = __ldcg(sums + unit % kQuads);
      const MergeFactors factors = merge_state(&state, {next.x, next.y}, p.scale);
      sum.x = merge_sum(sum.x, part.x, factors);
      sum.y = merge_sum(sum.y, part.y, factors);
      sum.z = merge_sum(sum.z, part.z, factors);
      sum.w = merge_sum(sum.w, part.w, factors);
    }
    const float factor = __frcp_rn(state.total);
    uint16_t* out = out_row(p, item) + (item.kv_head * group + head) * kDim + unit % kQuads * 4;
    *reinterpret_cast<uint2*>(out) =
        make_uint2(pack_bf16(__fmul_rn(sum.x, factor), __fmul_rn(sum.y, factor)),
                   pack_bf16(__fmul_rn(sum.z, factor), __fmul_rn(sum.w, factor)));
  }
}

template <uint32_t kDim>
__global__ void __launch_bounds__(decode::kThreads) decode_kernel(const DecodeParameters p) {
  extern __shared__ __align__(128) char memory[];
  const uint32_t ring_bytes = p.buffers * kTileBytes<kDim>;
  auto& shared = *reinterpret_cast<Shared*>(memory + ring_bytes);
  auto* plan = reinterpret_cast<DecodeRow*>(memory + ring_bytes + sizeof(Shared));
  const CopyRing ring = {shared.full, shared.empty, memory, p.buffers, kTileBytes<kDim>};
  pdl_launch_dependents();
  if (threadIdx.x == 0) ring.init(decode::kWarps);
  pdl_wait();
  for (uint32_t i = threadIdx.x; i <= p.rows; i += decode::kThreads) {
    *reinterpret_cast<int4*>(plan + i) = *reinterpret_cast<const int4*>(p.scratch.rows + i);
  }
  __syncthreads();
  const uint32_t warp = threadIdx.x / 32;
  if (warp == decode::kWarps) {
    decode::copy_items<kDim>(p, plan, ring);
    return;
  }
  decode::Computer<kDim> computer{p, shared, ring, warp, threadIdx.x % 32, {}, {}, {}, {}, {}};
  Item item;
  for (uint32_t i = blockIdx.x; decode::find_item(p, plan, i, &item); i += gridDim.x) {
    computer.compute(item);
    if (item.row.partial_begin < 0) {
      write_row(p, computer, item);
    } else {
      write_partial(p, computer, item);
      if (arrive(p, shared, item)) merge_pieces<kDim>(p, item);
    }
  }
}

uint32_t fixed_bytes(uint32_t rows) {
  return static_cast<uint32_t>(sizeof(Shared) + (rows + 1) * sizeof(DecodeRow));
}

// As many as fit beside a second block, or, where that is too few, in the whole processor.
uint32_t ring_buffers(uint32_t tile_bytes, uint32_t rows) {
  constexpr uint32_t kReserved = 1024;  // that a block costs beside its own
  const AttentionDevice& device = attention_device();
  const auto fit = [&](uint32_t bytes) {
    const uint32_t fixed = fixed_bytes(rows);
    return bytes <= fixed ? 0 : std::min((bytes - fixed) / tile_bytes, decode::kBuffersMax);
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
    if (ring_buffers(kTileBytes<kDim>, 0) >= kBuffersLeast) return Status::ok();
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
    p.blocks_per_sequence_max = step.blocks_per_sequence_max;
    p.rows = step.decode_sequences;
    p.buffers = ring_buffers(kTileBytes<kDim>, p.rows);
    p.scale = score_scale(kDim);
    const LaunchShape shape{dim3(decode_blocks()),
                            dim3(decode::kThreads),
                            p.buffers * kTileBytes<kDim> + fixed_bytes(p.rows)};
    return launch_kernel(decode_kernel<kDim>, shape, stream, p);
  });
}

}  // namespace sluice
