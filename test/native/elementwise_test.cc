// The small kernels, the exponential under them, and number formats.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "check.h"
#include "kernels/dtype.h"
#include "kernels/embed.h"
#include "kernels/exp.h"
#include "kernels/kernels.h"
#include "kernels/rmsnorm.h"
#include "kernels/rope.h"
#include "kernels/silu_mul.h"
#include "packed_matrix.h"

namespace sluice {
namespace {

using check::RandomSource;

constexpr Isa kIsas[] = {Isa::kScalar, Isa::kAvx2};

TEST("exp is within 2 ulp, exactly 1 at 0, and 0 below its range") {
  double worst = 0;
  for (float x = -86.9f; x < 87.9f; x += 0.00137f) {
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::fabs(static_cast<double>(exp_f32(x)) - exact) / exact);
  }
  CHECK(worst < 2.4e-7);
  CHECK_EQ(exp_f32(0), 1.0f);
  CHECK_EQ(exp_f32(-std::numeric_limits<float>::infinity()), 0.0f);
  CHECK_EQ(exp_f32(-200), 0.0f);
  CHECK(std::isfinite(exp_f32(std::numeric_limits<float>::infinity())));
}

TEST("bf16 and f16 round to nearest, ties to even, and come back exactly") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float bf16 = bf16_to_f32(half);
    const float f16 = f16_to_f32(half);
    if (!std::isnan(bf16)) CHECK_EQ(f32_to_bf16(bf16), half);
    if (!std::isnan(f16)) CHECK_EQ(f32_to_f16(f16), half);
  }
  CHECK_EQ(f32_to_bf16(1 + 0x1p-8f), f32_to_bf16(1));
  CHECK_EQ(f32_to_bf16(1 + 0x3p-8f), f32_to_bf16(1 + 0x1p-6f));
  CHECK_EQ(f32_to_f16(1 + 0x1p-11f), 0x3C00);
  CHECK_EQ(f32_to_f16(1 + 0x3p-11f), 0x3C02);
  CHECK_EQ(f32_to_f16(65519), 0x7BFF);
  CHECK_EQ(f32_to_f16(65520), 0x7C00);
  CHECK_EQ(f32_to_f16(0x1p-25f), 0);
  CHECK_EQ(f32_to_f16(0x1.8p-25f), 1);
  CHECK(std::isnan(f16_to_f32(f32_to_f16(NAN))));
  CHECK(std::isnan(bf16_to_f32(f32_to_bf16(NAN))));
}

TEST("rmsnorm agrees with float64, and over instruction sets and neighbours to the bit") {
  RandomSource random(31);
  for (const uint32_t size : {1u, 7u, 8u, 64u, 100u, 576u}) {
    const std::vector<float> x = random.normals(size_t{5} * size, 10);
    const std::vector<float> weight = random.normals(size);
    std::vector<float> first;
    for (const Isa isa : kIsas) {
      if (!has_isa(isa)) continue;
      std::vector<float> out(x.size(), NAN);
      RmsNormArgs args{x.data(), size, out.data(), size, 5, size, weight.data(), 1e-5f};
      kernels_for(isa).rmsnorm(args);
      if (first.empty()) first = out;
      CHECK(std::memcmp(first.data(), out.data(), out.size() * sizeof(float)) == 0);
      std::vector<float> alone(size);
      args.x = &x[size_t{3} * size];
      args.out = alone.data();
      args.rows = 1;
      kernels_for(isa).rmsnorm(args);
      CHECK(std::memcmp(&out[size_t{3} * size], alone.data(), size * sizeof(float)) == 0);
    }
    for (uint32_t row = 0; row < 5; ++row) {
      double squares = 0;
      for (uint32_t i = 0; i < size; ++i) squares += std::pow(x[row * size + i], 2);
      const double rms = std::sqrt(squares / size + 1e-5);
      for (uint32_t i = 0; i < size; ++i) {
        const double wanted = x[row * size + i] / rms * static_cast<double>(weight[i]);
        CHECK_NEAR(first[row * size + i], wanted, 1e-6 * (1 + std::fabs(wanted)));
      }
    }
  }
}

TEST("rope rotates pairs half a head apart") {
  RandomSource random(32);
  for (const uint32_t head_dim : {8u, 16u, 64u, 80u}) {
    const uint32_t half = head_dim / 2;
    const std::vector<float> x = random.normals(size_t{3} * head_dim);
    std::vector<float> cosines(half);
    std::vector<float> sines(half);
    for (uint32_t i = 0; i < half; ++i) {
      const double angle = random.unit() * 6.28;
      cosines[i] = static_cast<float>(std::cos(angle));
      sines[i] = static_cast<float>(std::sin(angle));
    }
    std::vector<float> first;
    for (const Isa isa : kIsas) {
      if (!has_isa(isa)) continue;
      std::vector<float> out = x;
      kernels_for(isa).rope({out.data(), 3, head_dim, cosines.data(), sines.data()});
      if (first.empty()) first = out;
      CHECK(std::memcmp(first.data(), out.data(), out.size() * sizeof(float)) == 0);
    }
    for (uint32_t head = 0; head < 3; ++head) {
      const float* a = &x[size_t{head} * head_dim];
      for (uint32_t i = 0; i < half; ++i) {
        const double cosine = cosines[i];
        const double sine = sines[i];
        CHECK_NEAR(first[head * head_dim + i], a[i] * cosine - a[i + half] * sine, 1e-6);
        CHECK_NEAR(first[head * head_dim + half + i], a[i + half] * cosine + a[i] * sine, 1e-6);
      }
    }
  }
}

TEST("silu_mul agrees with float64 from -100 to 100 and over instruction sets to the bit") {
  std::vector<float> gate;
  for (float g = -100; g <= 100; g += 0.37f) gate.push_back(g);
  RandomSource random(33);
  const std::vector<float> up = random.normals(gate.size());
  std::vector<float> first;
  for (const Isa isa : kIsas) {
    if (!has_isa(isa)) continue;
    std::vector<float> out(gate.size(), NAN);
    const auto size = static_cast<uint32_t>(gate.size());
    kernels_for(isa).silu_mul({gate.data(), up.data(), out.data(), size});
    if (first.empty()) first = out;
    CHECK(std::memcmp(first.data(), out.data(), out.size() * sizeof(float)) == 0);
  }
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i];
    const double wanted = g / (1 + std::exp(-g)) * static_cast<double>(up[i]);
    CHECK_NEAR(first[i], wanted, 1e-6 * (1 + std::fabs(wanted)));
  }
}

TEST("embed gives the stored row for every kind of weights") {
  RandomSource random(34);
  for (const WeightType type : {WeightType::kF32, WeightType::kBf16, WeightType::kF16}) {
    const check::PackedMatrix packed = check::make_matrix({type, 37, 50, 0, false}, &random);
    for (const uint32_t token : {0u, 15u, 16u, 36u}) {
      std::vector<float> row(50);
      embed({&packed.matrix, token, row.data()});
      for (uint32_t i = 0; i < 50; ++i) {
        CHECK_EQ(static_cast<double>(row[i]), packed.values[size_t{token} * 50 + i]);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
