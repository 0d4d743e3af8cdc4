// The strip kernels over int8 weights.
#include "kernels/cuda/strip_launch.cuh"

namespace sluice {

Status launch_int8_strips(const StripParameters& p, DeviceStream stream) {
  return launch_strips<Int8Format>(p, stream);
}

}  // namespace sluice
