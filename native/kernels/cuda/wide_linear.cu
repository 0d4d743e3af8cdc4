// Which wide kernel a matrix takes.
#include "kernels/cuda/wide_launch.cuh"
#include "kernels/cuda/wide_linear.h"
#include "kernels/cuda/wide_shape.h"

namespace sluice {
namespace {

constexpr uint32_t kTilesMax = kWideSplitRowsMax / 8;

}  // namespace

uint64_t wide_partial_bytes() {
  constexpr uint64_t kStripsOfBlock = kWideOutputs / kStripRows;
  return kWideSplitBlocksMax * kStripsOfBlock * kTilesMax * 32 * sizeof(float4);
}

uint64_t wide_arrival_bytes(uint32_t outputs) {
  return uint64_t{outputs / kStripRows + 1} * kTilesMax * sizeof(uint32_t);
}

Status wide_linear(const LinearArgs& args, const StripScratch& scratch, DeviceStream stream) {
  StripParameters p = strip_parameters(args, scratch);
  p.shape = wide_shape(*args.matrix);
  switch (args.matrix->format) {
    case DeviceFormat::kBf16:
      return launch_bf16_wide(p, stream);
    case DeviceFormat::kInt8:
      return launch_int8_wide(p, stream);
    case DeviceFormat::kInt4:
      return launch_int4_wide(p, args.matrix->group_inputs, stream);
  }
  return Status::ok();
}

}  // namespace sluice
