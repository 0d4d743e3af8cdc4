// A group's error over the rows is d' (X' X) d, with d what rounding changed of its weights: the
// product X' X is taken once for all outputs, and all cuts of some outputs go through it together.
#include "model/quantize/clip_search.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "kernels/pack.h"
#include "model/quantize/grid.h"

namespace sluice {
namespace {

constexpr uint32_t kCuts = 10;  // by 0, 1/20 .. 9/20 of the largest weight
constexpr uint32_t kRowsMax = 512;
constexpr uint32_t kOutputsAtOnce = 32;

// One group of inputs: X' X packed for matmul, and room for the differences of some outputs.
class GroupClipper {
 public:
  explicit GroupClipper(const ClipArgs& args) : args_(args), group_(args.group_inputs) {
    matrix_.outputs = matrix_.inputs = group_;
    products_.resize(size_t{group_} * group_);
    packed_.resize(matrix_.strips() * matrix_.strip_bytes() / sizeof(float));
    matrix_.weights = reinterpret_cast<const uint8_t*>(packed_.data());
    stride_ = size_t{matrix_.strips()} * kStripOutputs;
    differences_.resize(kOutputsAtOnce * kCuts * stride_);
    weighed_.resize(differences_.size());
  }

  void run(uint32_t first_input, FloatMatrix* matrix) {
    take_products(first_input);
    for (uint32_t n = 0; n < matrix->outputs; n += kOutputsAtOnce) {
      const uint32_t count = std::min(kOutputsAtOnce, matrix->outputs - n);
      for (uint32_t i = 0; i < count; ++i) try_cuts(matrix->row(n + i) + first_input, i);
      MatmulArgs matmul{
          &matrix_, differences_.data(), stride_, count * kCuts, weighed_.data(), stride_, false};
      args_.kernels->matmul(matmul, {0, matrix_.strips()});
      for (uint32_t i = 0; i < count; ++i) keep_best(matrix->row(n + i) + first_input, i);
    }
  }

 private:
  void take_products(uint32_t first_input) {
    std::fill(products_.begin(), products_.end(), 0.0f);
    const uint32_t step = (args_.rows + kRowsMax - 1) / kRowsMax;
    for (uint32_t row = 0; row < args_.rows; row += step) {
      const float* x = args_.x + row * args_.x_stride + first_input;
      for (uint32_t i = 0; i < group_; ++i) {
        float* out = products_.data() + size_t{i} * group_;
        for (uint32_t j = 0; j < group_; ++j) out[j] += x[i] * x[j];
      }
    }
    for (uint32_t strip = 0; strip < matrix_.strips(); ++strip) {
      const uint32_t first = strip * kStripOutputs;
      PackDenseArgs pack;
      pack.rows = reinterpret_cast<const uint8_t*>(products_.data() + size_t{first} * group_);
      pack.rows_count = std::min(kStripOutputs, group_ - first);
      pack.inputs = group_;
      pack.strip = reinterpret_cast<uint8_t*>(packed_.data()) + strip * matrix_.strip_bytes();
      pack_dense_strip(pack);
    }
  }

  float limit(const float* weights, uint32_t cut) const {
    float highest = 0;
    for (uint32_t k = 0; k < group_; ++k) highest = std::max(highest, std::fabs(weights[k]));
    return highest * (1 - static_cast<float>(cut) / (2 * kCuts));
  }

  void try_cuts(const float* weights, uint32_t output) {
    std::vector<float> clamped(group_);
    for (uint32_t cut = 0; cut < kCuts; ++cut) {
      const float most = limit(weights, cut);
      for (uint32_t k = 0; k < group_; ++k) clamped[k] = std::clamp(weights[k], -most, most);
      const GroupGrid grid = grid_of(clamped);
      float* difference = differences_.data() + (output * kCuts + cut) * stride_;
      for (uint32_t k = 0; k < group_; ++k) difference[k] = grid.round(clamped[k]) - weights[k];
    }
  }

  void keep_best(float* weights, uint32_t output) const {
    uint32_t best = 0;
    double least = 0;
    for (uint32_t cut = 0; cut < kCuts; ++cut) {
      const size_t at = (output * kCuts + cut) * stride_;
      double error = 0;
      for (uint32_t k = 0; k < group_; ++k) {
        error += static_cast<double>(differences_[at + k]) * static_cast<double>(weighed_[at + k]);
      }
      if (cut > 0 && !(error < least)) continue;
      least = error;
      best = cut;
    }
    const float most = limit(weights, best);
    for (uint32_t k = 0; k < group_; ++k) weights[k] = std::clamp(weights[k], -most, most);
  }

  const ClipArgs& args_;
  const uint32_t group_;
  Matrix matrix_;
  size_t stride_ = 0;
  std::vector<float> products_;     // [group, group]
  std::vector<float> packed_;       // the same in strips
  std::vector<float> differences_;  // [outputs at once, cuts, stride]
  std::vector<float> weighed_;      // the differences times the products
};

}  // namespace

void clip_matrix(const ClipArgs& args, FloatMatrix* matrix) {
  args.pool->run(matrix->inputs / args.group_inputs, 1, [&](WorkRange groups, uint32_t) {
    GroupClipper clipper(args);
    for (uint32_t group = groups.begin; group < groups.end; ++group) {
      clipper.run(group * args.group_inputs, matrix);
    }
  });
}

}  // namespace sluice
