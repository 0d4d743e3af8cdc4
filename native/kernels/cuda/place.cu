// One warp a head of one row: a lane holds pairs (i, i + half) of the head, which are what rotates
// together.
#include "kernels/cuda/kv_layout.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/place.h"
#include "kernels/cuda/vector.cuh"

namespace sluice {
namespace {

constexpr uint32_t kWarps = 4;
constexpr uint32_t kPairs = kPlaceHeadDimMax / 2 / 64;  // of two pairs each, per lane

struct HeadValues {
  float2 low[kPairs];   // elements i, i + 1
  float2 high[kPairs];  // elements i + half, i + half + 1
};

__device__ __forceinline__ float2 widen2(uint32_t raw) {
  return {__uint_as_float(raw << 16), __uint_as_float(raw & 0xFFFF0000u)};
}

__device__ __forceinline__ uint32_t element_of(uint32_t pair) {
  return pair * 64 + threadIdx.x % 32 * 2;
}

__device__ __forceinline__ void normalise(HeadValues* values,
                                          const float* weight,
                                          uint32_t half,
                                          float epsilon) {
  float sum = 0;
#pragma unroll
  for (uint32_t p = 0; p < kPairs; ++p) {
    const float2 low = values->low[p];
    const float2 high = values->high[p];
    sum += low.x * low.x + low.y * low.y + high.x * high.x + high.y * high.y;
  }
  const float scale = rsqrtf(warp_sum(sum) / static_cast<float>(2 * half) + epsilon);
#pragma unroll
  for (uint32_t p = 0; p < kPairs; ++p) {
    const uint32_t i = element_of(p);
    if (i >= half) continue;
    values->low[p].x *= scale * weight[i];
    values->low[p].y *= scale * weight[i + 1];
    values->high[p].x *= scale * weight[half + i];
    values->high[p].y *= scale * weight[half + i + 1];
  }
}

// The cosines and sines of a position that this lane's pairs need: c0 s0 c1 s1.
struct Angles {
  float4 of[kPairs];
};

__device__ __forceinline__ Angles load_angles(const float* row, uint32_t half) {
  Angles angles = {};
#pragma unroll
  for (uint32_t p = 0; p < kPairs; ++p) {
    const uint32_t i = element_of(p);
    if (i < half) angles.of[p] = *reinterpret_cast<const float4*>(row + 2 * i);
  }
  return angles;
}

__device__ __forceinline__ void rotate(HeadValues* values, const Angles& angles) {
#pragma unroll
  for (uint32_t p = 0; p < kPairs; ++p) {
    const float4 angle = angles.of[p];
    const float2 low = values->low[p];
    const float2 high = values->high[p];
    values->low[p] = {low.x * angle.x - high.x * angle.y, low.y * angle.z - high.y * angle.w};
    values->high[p] = {high.x * angle.x + low.x * angle.y, high.y * angle.z + low.y * angle.w};
  }
}

__global__ void place_kernel(const PlaceArgs args, const StepBatch step) {
  pdl_launch_dependents();
  const uint32_t row = blockIdx.x;
  const uint32_t head = blockIdx.y * kWarps + threadIdx.x / 32;
  const uint32_t half = args.head_dim / 2;
  // The packet came before the step's first kernel, and the table of angles never changes: both are
  // read before waiting.
  const int32_t slot = step.row_slot[row];
  const auto position = static_cast<uint32_t>(step.row_position[row]);
  const Angles angles = load_angles(args.rope + uint64_t{position} * args.head_dim, half);
  pdl_wait();
  if (slot < 0 || head >= args.heads + 2 * args.kv_heads) return;
  const bool is_query = head < args.heads;
  const bool is_value = head >= args.heads + args.kv_heads;
  uint64_t block = 0;
  if (!is_query) {
    const uint64_t table = static_cast<uint64_t>(slot) * step.blocks_per_sequence_max;
    block = static_cast<uint64_t>(step.block_tables[table + position / kBlockTokens]);
  }
  const uint32_t width = (args.heads + 2 * args.kv_heads) * args.head_dim;
  auto* at = reinterpret_cast<uint32_t*>(args.qkv + static_cast<uint64_t>(row) * width +
                                         head * args.head_dim);
  HeadValues values = {};
#pragma unroll
  for (uint32_t p = 0; p < kPairs; ++p) {
    const uint32_t i = element_of(p);
    if (i >= half) continue;
    values.low[p] = widen2(at[i / 2]);
    values.high[p] = widen2(at[(half + i) / 2]);
  }
  if (!is_value) {
    const float* weight = is_query ? args.query_norm : args.key_norm;
    if (weight != nullptr) normalise(&values, weight, half, args.epsilon);
    rotate(&values, angles);
  }
  const uint32_t kv_head = (head - args.heads) % args.kv_heads;
  uint16_t* pool = is_value ? args.values : args.keys;
#pragma unroll
  for (uint32_t p = 0; p < kPairs; ++p) {
    const uint32_t i = element_of(p);
    if (i >= half) continue;
    const uint32_t low = narrow2(values.low[p].x, values.low[p].y);
    const uint32_t high = narrow2(values.high[p].x, values.high[p].y);
    if (is_query) {
      at[i / 2] = low;
      at[(half + i) / 2] = high;
      continue;
    }
    uint16_t* part = pool + kv_part_begin(block, kv_head, args.kv_heads, args.head_dim);
    const uint32_t token = position % kBlockTokens;
    *reinterpret_cast<uint32_t*>(part + kv_part_offset(token, i, args.head_dim)) = low;
    *reinterpret_cast<uint32_t*>(part + kv_part_offset(token, half + i, args.head_dim)) = high;
  }
}

__global__ void rope_table_kernel(const RopeTableArgs args) {
  pdl_wait();
  const uint64_t index = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= static_cast<uint64_t>(args.positions) * args.half) return;
  const auto position = static_cast<float>(index / args.half);
  const auto angle = static_cast<double>(__fmul_rn(position, args.frequencies[index % args.half]));
  double sine = 0;
  double cosine = 0;
  sincos(angle, &sine, &cosine);
  args.table[2 * index] = static_cast<float>(cosine);
  args.table[2 * index + 1] = static_cast<float>(sine);
}

}  // namespace

Status place(const PlaceArgs& args, const StepBatch& step, DeviceStream stream) {
  if (step.rows == 0) return Status::ok();
  if (args.head_dim % 8 != 0 || args.head_dim > kPlaceHeadDimMax) {
    return {StatusCode::kUnsupported,
            "head_dim " + std::to_string(args.head_dim) +
                "; supported on a device: multiples of 8 up to 256"};
  }
  const uint32_t heads = args.heads + 2 * args.kv_heads;
  const LaunchShape shape{dim3(step.rows, (heads + kWarps - 1) / kWarps), dim3(kWarps * 32)};
  return launch_kernel(place_kernel, shape, stream, args, step);
}

Status fill_rope_table(const RopeTableArgs& args, DeviceStream stream) {
  constexpr uint32_t kThreads = 256;
  const uint64_t count = static_cast<uint64_t>(args.positions) * args.half;
  const auto blocks = static_cast<uint32_t>((count + kThreads - 1) / kThreads);
  return launch_kernel(rope_table_kernel, {dim3(blocks), dim3(kThreads)}, stream, args);
}

}  // namespace sluice
