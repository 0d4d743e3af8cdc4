// matmul against float64 of the stored weights, and bit for bit against itself: alone and among
// other rows, over any split of its strips, on every instruction set.
#include "kernels/matmul.h"

#include <cmath>
#include <string>
#include <vector>

#include "check.h"
#include "kernels/kernels.h"
#include "packed_matrix.h"

namespace sluice {
namespace {

using check::make_matrix;
using check::MatrixShape;
using check::PackedMatrix;
using check::RandomSource;

constexpr Isa kIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512};
constexpr float kPoison = 12345;

struct Rows {
  std::vector<float> data;
  size_t stride;
};

struct Split {
  WorkRange rows;
  uint32_t strips_at_once;
};

// y of some rows of x, computed as one call for each range of strips.
std::vector<float> multiply(Isa isa, const PackedMatrix& packed, const Rows& x, Split split) {
  const auto [rows, strips_at_once] = split;
  const Matrix& matrix = packed.matrix;
  const size_t stride = size_t{matrix.strips()} * kStripOutputs;
  std::vector<float> y((rows.end - rows.begin) * stride, kPoison);
  MatmulArgs args;
  args.matrix = &matrix;
  args.x = x.data.data() + rows.begin * x.stride;
  args.x_stride = x.stride;
  args.rows = rows.end - rows.begin;
  args.y = y.data();
  args.y_stride = stride;
  for (uint32_t strip = 0; strip < matrix.strips(); strip += strips_at_once) {
    kernels_for(isa).matmul(args, {strip, std::min(strip + strips_at_once, matrix.strips())});
  }
  return y;
}

Rows make_rows(uint32_t rows, uint32_t inputs, RandomSource* random) {
  const size_t stride = inputs + 3;  // rows need not be aligned
  Rows x{random->normals(rows * stride), stride};
  return x;
}

// Norm-wise error, and each element's against the sum of its terms' sizes.
void check_against_float64(const PackedMatrix& packed, const Rows& x, const std::vector<float>& y) {
  const Matrix& matrix = packed.matrix;
  const size_t stride = size_t{matrix.strips()} * kStripOutputs;
  double error = 0;
  double norm = 0;
  double worst = 0;
  for (size_t row = 0; row * stride < y.size(); ++row) {
    for (uint32_t n = 0; n < matrix.outputs; ++n) {
      double sum = matrix.bias != nullptr ? static_cast<double>(matrix.bias[n]) : 0;
      double size = std::fabs(sum);
      for (uint32_t k = 0; k < matrix.inputs; ++k) {
        const double term = packed.values[size_t{n} * matrix.inputs + k] *
                            static_cast<double>(x.data[row * x.stride + k]);
        sum += term;
        size += std::fabs(term);
      }
      const double off = static_cast<double>(y[row * stride + n]) - sum;
      error += off * off;
      norm += sum * sum;
      if (size > 0) worst = std::max(worst, std::fabs(off) / size);
    }
  }
  CHECK(std::sqrt(error) <= 1e-5 * std::sqrt(norm));
  CHECK(worst <= 1e-5);
}

const std::vector<MatrixShape>& shapes() {
  static const std::vector<MatrixShape> list = {
      {WeightType::kF32, 16, 1, 0, false},
      {WeightType::kF32, 172, 64, 0, true},
      {WeightType::kF32, 33, 700, 0, false},
      {WeightType::kBf16, 64, 172, 0, false},
      {WeightType::kBf16, 100, 576, 0, true},
      {WeightType::kBf16, 24, 1536, 0, false},
      {WeightType::kF16, 96, 257, 0, false},
      {WeightType::kF16, 17, 256, 0, true},
      {WeightType::kInt4, 64, 128, 32, false},
      {WeightType::kInt4, 72, 576, 64, true},
      {WeightType::kInt4, 48, 1024, 128, false},
      {WeightType::kInt4, 40, 576, 576, false},
  };
  return list;
}

TEST("matmul agrees with float64 for every kind of weights") {
  RandomSource random(11);
  for (const MatrixShape& shape : shapes()) {
    const PackedMatrix packed = make_matrix(shape, &random);
    const Rows x = make_rows(7, shape.inputs, &random);
    for (const Isa isa : kIsas) {
      if (!has_isa(isa)) continue;
      const WorkRange rows{0, 7};
      check_against_float64(packed, x, multiply(isa, packed, x, {rows, packed.matrix.strips()}));
    }
  }
}

void check_rows_alone(Isa isa) {
  if (!has_isa(isa)) SKIP(std::string("this processor has no ") + isa_name(isa));
  RandomSource random(12);
  for (const MatrixShape& shape : shapes()) {
    const PackedMatrix packed = make_matrix(shape, &random);
    const Rows x = make_rows(65, shape.inputs, &random);
    const uint32_t strips = packed.matrix.strips();
    const std::vector<float> whole = multiply(isa, packed, x, {{0, 65}, strips});
    const size_t stride = whole.size() / 65;
    const auto same = [&](const std::vector<float>& some, uint32_t first) {
      return std::memcmp(some.data(), &whole[first * stride], some.size() * sizeof(float)) == 0;
    };
    for (const uint32_t count : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 11u, 12u, 13u, 17u, 25u, 64u}) {
      const uint32_t first = random.below(65 - count + 1);
      const WorkRange rows{first, first + count};
      const uint32_t at_once = 1 + random.below(5);
      CHECK(same(multiply(isa, packed, x, {rows, at_once}), first));
    }
  }
}

TEST("a row of matmul has the same bits alone, in any crowd and over any split, by AVX2") {
  check_rows_alone(Isa::kAvx2);
}

TEST("a row of matmul has the same bits alone, in any crowd and over any split, by AVX-512") {
  check_rows_alone(Isa::kAvx512);
}

void check_equals_reference(Isa isa) {
  if (!has_isa(isa)) SKIP(std::string("this processor has no ") + isa_name(isa));
  RandomSource random(13);
  for (const MatrixShape& shape : shapes()) {
    const PackedMatrix packed = make_matrix(shape, &random);
    const Rows x = make_rows(9, shape.inputs, &random);
    const uint32_t strips = packed.matrix.strips();
    const std::vector<float> plain = multiply(Isa::kScalar, packed, x, {{0, 9}, strips});
    const std::vector<float> fast = multiply(isa, packed, x, {{0, 9}, strips});
    CHECK(std::memcmp(plain.data(), fast.data(), plain.size() * sizeof(float)) == 0);
  }
}

TEST("AVX2 agrees with the reference to the bit") {
  check_equals_reference(Isa::kAvx2);
}

TEST("AVX-512 agrees with the reference to the bit") {
  check_equals_reference(Isa::kAvx512);
}

TEST("accumulate adds to what y holds") {
  RandomSource random(14);
  const PackedMatrix packed = make_matrix({WeightType::kBf16, 32, 64, 0, false}, &random);
  const Rows x = make_rows(1, 64, &random);
  const std::vector<float> plain = multiply(Isa::kScalar, packed, x, {{0, 1}, 2});
  for (const Isa isa : kIsas) {
    if (!has_isa(isa)) continue;
    std::vector<float> y(32, 2);
    MatmulArgs args{&packed.matrix, x.data.data(), x.stride, 1, y.data(), 32, true};
    kernels_for(isa).matmul(args, {0, 2});
    for (uint32_t n = 0; n < 32; ++n) CHECK_EQ(y[n], 2 + plain[n]);
  }
}

TEST("padding of the last strip comes out as zero") {
  RandomSource random(15);
  const PackedMatrix packed = make_matrix({WeightType::kInt4, 40, 64, 32, false}, &random);
  const Rows x = make_rows(3, 64, &random);
  const std::vector<float> y = multiply(Isa::kScalar, packed, x, {{0, 3}, 3});
  for (uint32_t row = 0; row < 3; ++row) {
    for (uint32_t n = 40; n < 48; ++n) CHECK_EQ(y[row * 48 + n], 0.0f);
  }
}

}  // namespace
}  // namespace sluice
