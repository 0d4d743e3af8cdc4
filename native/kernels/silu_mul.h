// out = silu(gate) * up with silu(g) = g / (1 + e^-g), element by element.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

struct SiluMulArgs {
  const float* gate = nullptr;  // [size] f32
  const float* up = nullptr;    // [size] f32
  float* out = nullptr;         // [size] f32
  uint32_t size = 0;
};

void silu_mul_reference(const SiluMulArgs& args);
#if defined(__x86_64__)
void silu_mul_avx2(const SiluMulArgs& args);
#endif

}  // namespace sluice
