// The wide kernel over bf16 weights.
#include "kernels/cuda/wide_launch.cuh"

namespace sluice {

Status launch_bf16_wide(const StripParameters& p, DeviceStream stream) {
  return launch_wides<Bf16Unit>(p, stream);
}

}  // namespace sluice
