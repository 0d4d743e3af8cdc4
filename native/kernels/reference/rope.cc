// The plain form of rope.
#include "kernels/rope.h"

namespace sluice {

void rope_reference(const RopeArgs& args) {
  const uint32_t half = args.head_dim / 2;
  for (uint32_t head = 0; head < args.heads; ++head) {
    float* first = args.x + size_t{head} * args.head_dim;
    float* second = first + half;
    for (uint32_t i = 0; i < half; ++i) {
      const float a = first[i];
      const float b = second[i];
      first[i] = a * args.cosines[i] - b * args.sines[i];
      second[i] = b * args.cosines[i] + a * args.sines[i];
    }
  }
}

}  // namespace sluice
