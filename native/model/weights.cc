// Sums over the parts of a linear.
#include "model/weights.h"

namespace sluice {

uint32_t Linear::strips() const {
  uint32_t count = 0;
  for (const LinearPart& part : parts) count += part.matrix.strips();
  return count;
}

}  // namespace sluice
