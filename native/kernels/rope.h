// Rotates pairs of a head's elements by angles of its token's position, in place. Pairs are
// (i, i + head_dim / 2), as Hugging Face checkpoints have them, not neighbours.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

struct RopeArgs {
  float* x = nullptr;  // [heads, head_dim] f32 of one token
  uint32_t heads = 0;
  uint32_t head_dim = 0;
  const float* cosines = nullptr;  // [head_dim / 2] at the token's position
  const float* sines = nullptr;    // [head_dim / 2]
};

void rope_reference(const RopeArgs& args);
#if defined(__x86_64__)
void rope_avx2(const RopeArgs& args);
#endif

}  // namespace sluice
