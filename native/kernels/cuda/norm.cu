// One block a row; the row stays in registers between its sum of squares and its scaling.
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/vector.cuh"

namespace sluice {
namespace {

constexpr uint32_t kVectorsThreadMax = 8;  // kNormWidthMax / 8 / kThreadsMax
constexpr uint32_t kThreadsMax = 1024;

enum class Source { kAdd, kPick, kEmbed };

struct NormKernelArgs {
  NormArgs norm;
  const int32_t* picked;
  EmbedArgs embed;
  StepBatch step;
};

__device__ __forceinline__ uint32_t token_of(const NormKernelArgs& args, uint32_t row) {
  const int32_t slot = args.step.row_slot[row];
  if (slot < 0) return 0;
  int32_t token = args.step.row_token[row];
  if (token < 0) token = args.embed.last_token[slot];
  return static_cast<uint32_t>(token) < args.embed.vocab ? static_cast<uint32_t>(token) : 0;
}

template <Source kSource>
__device__ __forceinline__ const uint16_t* row_source(const NormKernelArgs& args, int32_t row) {
  const uint64_t width = args.norm.width;
  if (kSource == Source::kEmbed) {
    return args.embed.table + token_of(args, static_cast<uint32_t>(row)) * width;
  }
  return args.norm.residual + static_cast<uint64_t>(row) * width;
}

// Of vector i of a row.
__device__ __forceinline__ void load_weights(const float* weight, uint32_t i, float4 (&out)[2]) {
  const auto* from = reinterpret_cast<const float4*>(weight) + 2 * i;
  out[0] = from[0];
  out[1] = from[1];
}

template <Source kSource, uint32_t kVectors>
__global__ void norm_kernel(const NormKernelArgs args) {
  __shared__ float sums[32];
  const uint32_t vectors = args.norm.width / 8;
  pdl_launch_dependents();
  // The weights are nobody's to write, so a row of one vector a thread has them before it waits.
  float4 early[2] = {};
  if (kVectors == 1 && threadIdx.x < vectors) load_weights(args.norm.weight, threadIdx.x, early);
  pdl_wait();
  const uint64_t out_at = static_cast<uint64_t>(blockIdx.x) * args.norm.width;
  auto* out = reinterpret_cast<uint4*>(args.norm.out + out_at);
  const int32_t row =
      kSource == Source::kPick ? args.picked[blockIdx.x] : static_cast<int32_t>(blockIdx.x);
  if (kSource == Source::kPick && row < 0) {
    for (uint32_t i = threadIdx.x; i < vectors; i += blockDim.x) out[i] = {0, 0, 0, 0};
    return;
  }
  const auto* source = reinterpret_cast<const uint4*>(row_source<kSource>(args, row));
  const uint64_t row_at = static_cast<uint64_t>(row) * args.norm.width;
  const auto* delta = reinterpret_cast<const uint4*>(args.norm.delta + row_at);
  uint4 kept[kVectors];
  float sum = 0;
#pragma unroll
  for (uint32_t j = 0; j < kVectors; ++j) {
    const uint32_t i = threadIdx.x + j * blockDim.x;
    if (i >= vectors) continue;
    kept[j] = source[i];
    if (kSource != Source::kEmbed) {
      Float8 value = widen8(kept[j]);
      const Float8 added = widen8(delta[i]);
#pragma unroll
      for (int e = 0; e < 8; ++e) value.v[e] += added.v[e];
      kept[j] = narrow8(value);
    }
    const Float8 value = widen8(kept[j]);
#pragma unroll
    for (int e = 0; e < 8; ++e) sum += value.v[e] * value.v[e];
  }
  const float mean = block_sum(sum, sums) / static_cast<float>(args.norm.width);
  const float scale = rsqrtf(mean + args.norm.epsilon);
  auto* residual = reinterpret_cast<uint4*>(args.norm.residual + row_at);
#pragma unroll
  for (uint32_t j = 0; j < kVectors; ++j) {
    const uint32_t i = threadIdx.x + j * blockDim.x;
    if (i >= vectors) continue;
    if (kSource != Source::kPick) residual[i] = kept[j];
    Float8 value = widen8(kept[j]);
    if (kVectors > 1) load_weights(args.norm.weight, i, early);
    const float4 low = early[0];
    const float4 high = early[1];
    const float weights[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
    for (int e = 0; e < 8; ++e) value.v[e] = value.v[e] * scale * weights[e];
    out[i] = narrow8(value);
  }
}

template <Source kSource>
Status launch_norm(const NormKernelArgs& args, DeviceStream stream) {
  const uint32_t width = args.norm.width;
  if (args.norm.rows == 0) return Status::ok();
  if (width % 8 != 0 || width == 0 || width > kNormWidthMax) {
    return {StatusCode::kUnsupported,
            "norm of width " + std::to_string(width) + "; supported on a device: multiples of 8"};
  }
  const uint32_t vectors = width / 8;
  const uint32_t warps = (vectors + 31) / 32;
  const uint32_t threads = warps * 32 < kThreadsMax ? warps * 32 : kThreadsMax;
  const LaunchShape shape{dim3(args.norm.rows), dim3(threads)};
  if (vectors <= threads) return launch_kernel(norm_kernel<kSource, 1>, shape, stream, args);
  return launch_kernel(norm_kernel<kSource, kVectorsThreadMax>, shape, stream, args);
}

}  // namespace

Status add_norm(const NormArgs& args, DeviceStream stream) {
  return launch_norm<Source::kAdd>({args, nullptr, {}, {}}, stream);
}

Status pick_norm(const NormArgs& args, const int32_t* picked, DeviceStream stream) {
  return launch_norm<Source::kPick>({args, picked, {}, {}}, stream);
}

Status embed_norm(const EmbedArgs& embed,
                  const StepBatch& step,
                  const NormArgs& args,
                  DeviceStream stream) {
  return launch_norm<Source::kEmbed>({args, nullptr, embed, step}, stream);
}

}  // namespace sluice
