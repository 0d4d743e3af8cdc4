// One warp a head of one row.
#include "kernels/cuda/kv_layout.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/place.cuh"

namespace sluice {
namespace {

constexpr uint32_t kWarps = 4;

__global__ void place_kernel(const PlaceArgs args, const StepBatch step) {
  pdl_launch_dependents();
  const uint32_t row = blockIdx.x;
  const uint32_t head = blockIdx.y * kWarps + threadIdx.x / 32;
  const uint32_t half = args.head_dim / 2;
  // The packet came before the step's first kernel, and the table of angles never changes: both are
  // read before waiting.
  const int32_t slot = step.row_slot[row];
  const auto position = static_cast<uint32_t>(step.row_position[row]);
  const HeadAngles angles = load_angles(args.rope + uint64_t{position} * args.head_dim, half);
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
  uint16_t* at = args.qkv + static_cast<uint64_t>(row) * width + head * args.head_dim;
  HeadValues values = load_head(at, half);
  if (!is_value) {
    const float* weight = is_query ? args.query_norm : args.key_norm;
    if (weight != nullptr) normalise_head(&values, weight, half, args.epsilon);
    rotate_head(&values, angles);
  }
  if (is_query) {
    store_head(values, half, [&](uint32_t i, uint32_t two) {
      reinterpret_cast<uint32_t*>(at)[i / 2] = two;
    });
    return;
  }
  const uint32_t kv_head = (head - args.heads) % args.kv_heads;
  uint16_t* part = (is_value ? args.values : args.keys) +
                   kv_part_begin(block, kv_head, args.kv_heads, args.head_dim);
  store_head(values, half, [&](uint32_t i, uint32_t two) {
    const uint32_t offset = kv_part_offset(position % kBlockTokens, i, args.head_dim);
    *reinterpret_cast<uint32_t*>(part + offset) = two;
  });
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
