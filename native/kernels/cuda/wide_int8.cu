// The wide kernel over int8 weights.
#include "kernels/cuda/wide_launch.cuh"

namespace sluice {

Status launch_int8_wide(const StripParameters& p, DeviceStream stream) {
  return launch_wides<Int8Unit>(p, stream);
}

}  // namespace sluice
