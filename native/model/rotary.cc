// Frequencies in float64, angles in float32.
#include "model/rotary.h"

#include <cmath>
#include <numbers>

namespace sluice {
namespace {

// Long waves are slowed by `factor`, short ones kept, and those between blended.
double scaled_frequency(double frequency, const RopeConfig& rope) {
  if (rope.factor == 1) return frequency;
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double waves = rope.original_context_tokens / wavelength;
  if (waves < rope.low_frequency_factor) return frequency / rope.factor;
  if (waves > rope.high_frequency_factor) return frequency;
  const double kept = (waves - rope.low_frequency_factor) /
                      (rope.high_frequency_factor - rope.low_frequency_factor);
  return (1 - kept) * frequency / rope.factor + kept * frequency;
}

}  // namespace

std::vector<float> rope_frequencies(const ModelConfig& config) {
  const uint32_t half = config.head_dim / 2;
  std::vector<float> frequencies;
  frequencies.reserve(half);
  for (uint32_t i = 0; i < half; ++i) {
    const double exponent = 2.0 * i / config.head_dim;
    const double frequency = 1 / std::pow(config.rope.theta, exponent);
    frequencies.push_back(static_cast<float>(scaled_frequency(frequency, config.rope)));
  }
  return frequencies;
}

Rotary::Rotary(const ModelConfig& config) : frequencies_(rope_frequencies(config)) {}

void Rotary::angles(uint32_t position, float* cosines, float* sines) const {
  for (uint32_t i = 0; i < half(); ++i) {
    const double angle = static_cast<double>(static_cast<float>(position) * frequencies_[i]);
    cosines[i] = static_cast<float>(std::cos(angle));
    sines[i] = static_cast<float>(std::sin(angle));
  }
}

}  // namespace sluice
