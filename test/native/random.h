// Random numbers for tests: a seed gives the same data everywhere.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace sluice::check {

class RandomSource {
 public:
  explicit RandomSource(uint64_t seed) : engine_(seed) {}

  // [0, limit)
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(engine_() % limit); }

  // [0, 1)
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

  // About normal with deviation 1: the sum of twelve uniforms.
  float normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += unit();
    return static_cast<float>(sum);
  }

  std::vector<float> normals(size_t count, float scale = 1) {
    std::vector<float> values(count);
    for (float& value : values) value = normal() * scale;
    return values;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace sluice::check
