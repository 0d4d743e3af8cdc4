// Angles of rotary positions. The frequencies, and llama3's change of them by wavelength, follow
// from the config; sines and cosines are computed for the positions of a step, not kept for the
// context.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace sluice {

// [head_dim / 2] radians a position.
std::vector<float> rope_frequencies(const ModelConfig& config);

class Rotary {
 public:
  explicit Rotary(const ModelConfig& config);

  uint32_t half() const { return static_cast<uint32_t>(frequencies_.size()); }

  // Each [half()] f32. The angle is rounded to float32 first, as the models were trained with it.
  void angles(uint32_t position, float* cosines, float* sines) const;

 private:
  const std::vector<float> frequencies_;
};

}  // namespace sluice
