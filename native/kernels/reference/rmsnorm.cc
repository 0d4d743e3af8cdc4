// The plain form of rmsnorm.
#include "kernels/rmsnorm.h"

#include <cmath>

#include "kernels/lanes.h"

namespace sluice {

void rmsnorm_reference(const RmsNormArgs& args) {
  for (uint32_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.x_stride;
    float* out = args.out + row * args.out_stride;
    float lanes[kSumLanes] = {};
    for (uint32_t i = 0; i < args.size; ++i) lanes[i % kSumLanes] += x[i] * x[i];
    const float mean = sum_of_lanes(lanes) / static_cast<float>(args.size);
    const float inverse = 1.0f / std::sqrt(mean + args.epsilon);
    for (uint32_t i = 0; i < args.size; ++i) out[i] = x[i] * inverse * args.weight[i];
  }
}

}  // namespace sluice
