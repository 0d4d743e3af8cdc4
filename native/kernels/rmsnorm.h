// out = x / rms(x) * weight, for rows of equal length: the norms of the residual stream, and over
// each head for families that norm queries and keys. The sum of squares is taken as lanes.h says,
// so a row's bits do not depend on its neighbours.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

struct RmsNormArgs {
  const float* x = nullptr;  // [rows, size] f32
  size_t x_stride = 0;
  float* out = nullptr;  // [rows, size] f32; may be x
  size_t out_stride = 0;
  uint32_t rows = 0;
  uint32_t size = 0;
  const float* weight = nullptr;  // [size]
  float epsilon = 0;
};

void rmsnorm_reference(const RmsNormArgs& args);
#if defined(__x86_64__)
void rmsnorm_avx2(const RmsNormArgs& args);
#endif

}  // namespace sluice
