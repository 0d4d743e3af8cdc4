// Attention without tensor cores, for shapes that have no faster kernel: one warp for each row and
// head. Lanes score 32 keys, one each, then sum the values, a few columns each. A row's result
// depends on its position and the cache only.
#include "kernels/cuda/attention_parts.cuh"
#include "kernels/cuda/kv_layout.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector.cuh"

namespace sluice {
namespace {

constexpr uint32_t kWarps = 4;
constexpr uint32_t kColumnsMax = kPlainHeadDimMax / 32;
constexpr uint32_t kAll = 0xFFFFFFFFu;

struct PlainParameters {
  PagedAttentionArgs args;
  StepBatch step;
  float scale;  // of scores, times log2(e)
};

// A row's running softmax: each lane holds columns lane, lane + 32, ...
struct Sums {
  float highest = -__builtin_inff();
  float total = 0;
  float columns[kColumnsMax] = {};
};

// What one warp reads: its query, and its sequence's and KV head's view.
struct View {
  const uint16_t* q;
  float scale;
  const uint16_t* keys;
  const uint16_t* values;
  const int32_t* blocks;
  uint32_t kv_head;
  uint32_t kv_heads;
  uint32_t head_dim;

  __device__ __forceinline__ uint64_t at(uint32_t position, uint32_t element) const {
    const auto block = static_cast<uint64_t>(blocks[position / kBlockTokens]);
    return kv_part_begin(block, kv_head, kv_heads, head_dim) +
           kv_part_offset(position % kBlockTokens, element, head_dim);
  }
};

__device__ __forceinline__ float dot(const View& view, uint32_t position) {
  float sum = 0;
  for (uint32_t d = 0; d < view.head_dim; d += kKvChunk) {
    const Float8 a = widen8(*reinterpret_cast<const uint4*>(view.q + d));
    const Float8 b = widen8(*reinterpret_cast<const uint4*>(view.keys + view.at(position, d)));
#pragma unroll
    for (int e = 0; e < 8; ++e) sum = fmaf(a.v[e], b.v[e], sum);
  }
  return sum;
}

__device__ __forceinline__ float warp_highest(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAll, value, offset));
  }
  return value;
}

__device__ __forceinline__ void add_keys(Sums* sums,
                                         const View& view,
                                         uint32_t begin,
                                         uint32_t end) {
  const uint32_t lane = threadIdx.x % 32;
  const bool counts = begin + lane < end;
  const float score = counts ? dot(view, begin + lane) * view.scale : -__builtin_inff();
  const float highest = fmaxf(sums->highest, warp_highest(score));
  const float keep = exp2f(sums->highest - highest);
  const float weight = counts ? exp2f(score - highest) : 0.0f;
  sums->highest = highest;
  sums->total = sums->total * keep + warp_sum(weight);
#pragma unroll
  for (uint32_t i = 0; i < kColumnsMax; ++i) sums->columns[i] *= keep;
  for (uint32_t k = 0; k < min(end - begin, 32u); ++k) {
    const float factor = __shfl_sync(kAll, weight, static_cast<int>(k));
#pragma unroll
    for (uint32_t i = 0; i < kColumnsMax; ++i) {
      const uint32_t column = i * 32 + lane;
      if (column >= view.head_dim) continue;
      const uint32_t bits = view.values[view.at(begin + k, column)];
      sums->columns[i] = fmaf(factor, __uint_as_float(bits << 16), sums->columns[i]);
    }
  }
}

__global__ void __launch_bounds__(kWarps * 32) plain_kernel(const PlainParameters p) {
  pdl_launch_dependents();
  pdl_wait();
  const PagedAttentionShape& shape = p.args.shape;
  const uint32_t unit = blockIdx.x * kWarps + threadIdx.x / 32;
  const uint32_t row = unit / shape.heads;
  const uint32_t head = unit % shape.heads;
  if (row >= p.step.rows || p.step.row_slot[row] < 0) return;
  const auto slot = static_cast<uint64_t>(p.step.row_slot[row]);
  const uint16_t* q = p.args.q + uint64_t{row} * p.args.q_stride + head * shape.head_dim;
  const View view = {q,
                     p.scale,
                     p.args.keys,
                     p.args.values,
                     p.step.block_tables + slot * p.step.blocks_per_sequence_max,
                     head / (shape.heads / shape.kv_heads),
                     shape.kv_heads,
                     shape.head_dim};
  const uint32_t end = static_cast<uint32_t>(p.step.row_position[row]) + 1;
  Sums sums;
  for (uint32_t begin = 0; begin < end; begin += 32) {
    add_keys(&sums, view, begin, end);
  }
  uint16_t* out = p.args.out + uint64_t{row} * p.args.out_stride + head * shape.head_dim;
#pragma unroll
  for (uint32_t i = 0; i < kColumnsMax; ++i) {
    const uint32_t column = i * 32 + threadIdx.x % 32;
    if (column >= shape.head_dim) continue;
    out[column] = __bfloat16_as_ushort(__float2bfloat16_rn(sums.columns[i] / sums.total));
  }
}

}  // namespace

Status plain_attention(const PagedAttentionArgs& args, const StepBatch& step, DeviceStream stream) {
  if (step.rows == 0) return Status::ok();
  const uint32_t units = step.rows * args.shape.heads;
  const PlainParameters p = {args, step, score_scale(args.shape.head_dim)};
  return launch_kernel(
      plain_kernel, {dim3((units + kWarps - 1) / kWarps), dim3(kWarps * 32)}, stream, p);
}

}  // namespace sluice
