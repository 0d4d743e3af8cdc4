// Sums that are taken in eight lanes: element i goes to lane i % 8, in order, and the lanes are
// added as this tree. Every form of a kernel does the same, so they agree to the bit.
#pragma once

namespace sluice {

inline constexpr int kSumLanes = 8;

inline float sum_of_lanes(const float* lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

}  // namespace sluice
