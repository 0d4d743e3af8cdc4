// The strip kernels over int4 weights, one for each size of group.
#include "kernels/cuda/strip_launch.cuh"

namespace sluice {

Status launch_int4_strips(const StripParameters& p, uint32_t group_inputs, DeviceStream stream) {
  if (group_inputs == 128) return launch_strips<Int4Format<128>>(p, stream);
  if (group_inputs == 64) return launch_strips<Int4Format<64>>(p, stream);
  return launch_strips<Int4Format<32>>(p, stream);
}

}  // namespace sluice
