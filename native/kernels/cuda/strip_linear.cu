// Which strip kernel a matrix takes, and what all of them share on the host.
#include <algorithm>

#include "kernels/cuda/strip_launch.cuh"
#include "kernels/cuda/strip_linear.h"

namespace sluice {
namespace {

constexpr uint32_t kTilesMax = kStripRowsMax / 8;

int attribute(cudaDeviceAttr which) {
  int device = 0;
  int value = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 0;
  if (cudaDeviceGetAttribute(&value, which, device) != cudaSuccess) return 0;
  return value;
}

}  // namespace

uint32_t multiprocessors() {
  static const int count = attribute(cudaDevAttrMultiProcessorCount);
  return static_cast<uint32_t>(std::max(count, 1));
}

uint32_t block_shared_max() {
  static const int bytes = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  return static_cast<uint32_t>(bytes);
}

uint32_t sm_shared() {
  static const int bytes = attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  return static_cast<uint32_t>(bytes);
}

uint32_t even_blocks(uint32_t items, uint32_t most) {
  constexpr double kAlike = 0.03;
  if (items <= multiprocessors() * most) {
    return (items + multiprocessors() - 1) / multiprocessors();
  }
  uint32_t best = 1;
  double best_fill = 0;
  for (uint32_t blocks = 1; blocks <= most; ++blocks) {
    const uint32_t slots = multiprocessors() * blocks;
    const uint32_t rounds = (items + slots - 1) / slots;
    const double fill = double(items) / (double(rounds) * slots);
    if (fill + kAlike < best_fill) continue;
    best = blocks;
    best_fill = std::max(best_fill, fill);
  }
  return best;
}

StripParameters strip_parameters(const LinearArgs& args, const StripScratch& scratch) {
  const DeviceMatrix& matrix = *args.matrix;
  StripParameters p;
  p.weights = static_cast<const uint8_t*>(matrix.weights);
  if (matrix.format == DeviceFormat::kInt4) {
    p.group_scales = static_cast<const uint8_t*>(matrix.scales);
  } else if (matrix.format == DeviceFormat::kInt8) {
    p.output_scales = static_cast<const float*>(matrix.scales);
  }
  p.bias = matrix.bias;
  p.x = args.x;
  p.out = args.out;
  p.partials = static_cast<float4*>(scratch.partials);
  p.arrivals = scratch.arrivals;
  p.outputs = matrix.outputs;
  p.inputs = matrix.inputs;
  p.rows = args.rows;
  p.x_stride = args.x_stride;
  p.out_stride = args.out_stride;
  p.output = args.output;
  p.shape = strip_shape(matrix);
  return p;
}

uint64_t strip_partial_bytes(const StripShape& shape) {
  if (shape.splits == 1) return 0;
  return uint64_t{shape.strips} * shape.splits * kTilesMax * 32 * sizeof(float4);
}

uint64_t strip_arrival_bytes(const StripShape& shape) {
  return uint64_t{shape.strips} * kTilesMax * sizeof(uint32_t);
}

uint32_t strip_rows_max(const DeviceMatrix& matrix) {
  constexpr uint32_t kRingsAndSums = 88 * 1024;  // of the largest launch
  const StripShape shape = strip_shape(matrix);
  const uint32_t row_bytes = shape.split_chunks * shape.chunk_inputs * 2 + 64;
  const uint32_t most = block_shared_max();
  const uint32_t fitting = most < kRingsAndSums ? 0 : (most - kRingsAndSums) / row_bytes;
  return std::min(kStripRowsMax, fitting);
}

Status strip_linear(const LinearArgs& args, const StripScratch& scratch, DeviceStream stream) {
  const StripParameters p = strip_parameters(args, scratch);
  switch (args.matrix->format) {
    case DeviceFormat::kBf16:
      return launch_bf16_strips(p, stream);
    case DeviceFormat::kInt8:
      return launch_int8_strips(p, stream);
    case DeviceFormat::kInt4:
      return launch_int4_strips(p, args.matrix->group_inputs, stream);
  }
  return Status::ok();
}

}  // namespace sluice
