// The wide kernel over int4 weights, one for each size of group.
#include "kernels/cuda/wide_launch.cuh"

namespace sluice {

Status launch_int4_wide(const StripParameters& p, uint32_t group_inputs, DeviceStream stream) {
  if (group_inputs == 128) return launch_wides<Int4Unit<128>>(p, stream);
  if (group_inputs == 64) return launch_wides<Int4Unit<64>>(p, stream);
  return launch_wides<Int4Unit<32>>(p, stream);
}

}  // namespace sluice
