// Lays out a step's decode rows where they are many, on the device, so that a captured graph
// follows the contexts as they grow. A row of few pieces is one item; a longer one is cut, so that
// no block works much longer than the others. Two ways of drawing the line are weighed: at an even
// share of the work, which is best where rows fill the blocks evenly, and at a third of it. How
// rows are cut changes no bit of their results.
#include <algorithm>

#include "kernels/cuda/attention_parts.cuh"
#include "kernels/cuda/launch.cuh"

namespace sluice {
namespace {

constexpr uint32_t kThreads = 1024;
// What a piece costs by itself, and as part of a whole row.
constexpr int32_t kCutCost = 5;
constexpr int32_t kWholeCost = 4;
constexpr int32_t kBlocksMax = 1024;

struct PlanParameters {
  const int32_t* seq_context;
  const int32_t* seq_slot;
  DecodeRow* rows;
  uint32_t count;
  int32_t kv_heads;
  int32_t blocks;
  int32_t pieces_max;
};

// The sum of what the threads before this one gave; *total of all.
__device__ int32_t sum_before(int32_t value, int32_t* total) {
  __shared__ int32_t warps[32];
  const uint32_t lane = threadIdx.x % 32;
  int32_t sum = value;
#pragma unroll
  for (uint32_t offset = 1; offset < 32; offset *= 2) {
    const int32_t other = __shfl_up_sync(0xFFFFFFFFu, sum, offset);
    if (lane >= offset) sum += other;
  }
  __syncthreads();
  if (lane == 31) warps[threadIdx.x / 32] = sum;
  __syncthreads();
  int32_t before = 0;
  int32_t all = 0;
  for (uint32_t i = 0; i < kThreads / 32; ++i) {
    if (i < threadIdx.x / 32) before += warps[i];
    all += warps[i];
  }
  *total = all;
  return before + sum - value;
}

// The work of the busiest block, where rows of more than `whole` pieces are cut.
__device__ int32_t busiest(const PlanParameters& p, int32_t pieces, int32_t whole) {
  __shared__ int32_t loads[kBlocksMax];
  __shared__ int32_t most;
  const bool is_cut = pieces > whole;
  int32_t items = 0;
  const int32_t first = sum_before(is_cut ? pieces : min(pieces, 1), &items);
  int32_t cut = 0;
  sum_before(is_cut ? pieces : 0, &cut);
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < kBlocksMax; i += kThreads) loads[i] = 0;
  if (threadIdx.x == 0) most = 0;
  __syncthreads();
  for (int32_t head = 0; head < p.kv_heads && pieces > 0 && !is_cut; ++head) {
    atomicAdd(loads + (first * p.kv_heads + head) % p.blocks, pieces * kWholeCost);
  }
  __syncthreads();
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < p.blocks; i += kThreads) {
    atomicMax(&most, loads[i]);
  }
  __syncthreads();
  return most + cut * p.kv_heads * kCutCost / p.blocks;
}

__global__ void __launch_bounds__(kThreads) plan_kernel(const PlanParameters p) {
  const uint32_t i = threadIdx.x;
  pdl_launch_dependents();
  pdl_wait();
  DecodeRow row = {0, -1, 0, -1};
  if (i < p.count) {
    row.slot = p.seq_slot[i];
    row.tokens = row.slot < 0 ? 0 : p.seq_context[i] + 1;
  }
  const auto piece_tokens = static_cast<int32_t>(kKvPieceTokens);
  const int32_t pieces = (row.tokens + piece_tokens - 1) / piece_tokens;
  int32_t total = 0;
  sum_before(pieces, &total);
  const int32_t work = total * p.kv_heads;
  const int32_t even = max(kWholeLeast, (work + p.blocks - 1) / p.blocks);
  const int32_t fine = max(kWholeLeast, work / (kShares * p.blocks));
  const int32_t even_cost = busiest(p, pieces, even);
  const int32_t whole = even_cost <= busiest(p, pieces, fine) ? even : fine;
  bool is_cut = pieces > whole;
  int32_t cut_pieces = 0;
  const int32_t partial = sum_before(is_cut ? pieces : 0, &cut_pieces);
  // Rows past the scratch stay whole: slower, and the same.
  is_cut = is_cut && partial + pieces <= p.pieces_max;
  if (is_cut) row.partial_begin = partial;
  int32_t items = 0;
  row.item_begin = sum_before(is_cut ? pieces : min(pieces, 1), &items);
  if (i < p.count) p.rows[i] = row;
  if (i == 0) p.rows[p.count] = {items, -1, 0, -1};
}

size_t aligned(size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

struct ScratchSizes {
  size_t rows;
  size_t arrivals;
  size_t piece;  // states and sums of one piece

  ScratchSizes(const PagedAttentionShape& shape, uint32_t rows_max)
      : rows(aligned((rows_max + size_t{1}) * sizeof(DecodeRow))),
        arrivals(aligned(size_t{rows_max} * shape.kv_heads * sizeof(uint32_t))),
        piece(size_t{shape.heads} * (sizeof(float2) + shape.head_dim * sizeof(float))) {}
};

}  // namespace

AttentionScratchView view_scratch(const AttentionScratch& scratch,
                                  const PagedAttentionShape& shape) {
  const ScratchSizes sizes(shape, scratch.decode_rows_max);
  const size_t fixed = sizes.rows + sizes.arrivals + 256;
  AttentionScratchView view;
  if (scratch.bytes < fixed) return view;
  view.pieces_max = static_cast<uint32_t>((scratch.bytes - fixed) / sizes.piece);
  auto* at = static_cast<char*>(scratch.data);
  view.rows = reinterpret_cast<DecodeRow*>(at);
  view.arrivals = reinterpret_cast<uint32_t*>(at += sizes.rows);
  view.states = reinterpret_cast<float2*>(at += sizes.arrivals);
  at += aligned(size_t{view.pieces_max} * shape.heads * sizeof(float2));
  view.sums = reinterpret_cast<float*>(at);
  return view;
}

size_t attention_scratch_bytes(const PagedAttentionShape& shape,
                               uint32_t decode_rows_max,
                               uint64_t tokens_max) {
  const ScratchSizes sizes(shape, decode_rows_max);
  const size_t pieces = tokens_max / kKvPieceTokens + decode_rows_max;
  return sizes.rows + sizes.arrivals + 256 + pieces * sizes.piece;
}

Status plan_attention(const StepBatch& step,
                      const PagedAttentionShape& shape,
                      const AttentionScratch& scratch,
                      DeviceStream stream) {
  const uint32_t count = step.decode_sequences;
  if (count == 0 || !is_fast(shape) || is_few(shape, count)) return Status::ok();
  if (count > std::min(scratch.decode_rows_max, kDecodeRowsMax)) {
    return {StatusCode::kTooLarge, "attention: " + std::to_string(count) + " decode rows"};
  }
  const AttentionScratchView view = view_scratch(scratch, shape);
  const PlanParameters p = {step.seq_context,
                            step.seq_slot,
                            view.rows,
                            count,
                            static_cast<int32_t>(shape.kv_heads),
                            std::min(static_cast<int32_t>(decode_blocks()), kBlocksMax),
                            static_cast<int32_t>(view.pieces_max)};
  return launch_kernel(plan_kernel, {dim3(1), dim3(kThreads)}, stream, p);
}

}  // namespace sluice
