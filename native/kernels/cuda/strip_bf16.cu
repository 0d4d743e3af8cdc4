// The strip kernels over bf16 weights.
#include "kernels/cuda/strip_launch.cuh"

namespace sluice {

Status launch_bf16_strips(const StripParameters& p, DeviceStream stream) {
  return launch_strips<Bf16Format>(p, stream);
}

}  // namespace sluice
