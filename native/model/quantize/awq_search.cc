// Records what the layer reads, searches scales for each operation and the linears behind it,
// applies them, then searches the cuts of every linear but q and k.
#include "model/quantize/awq_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "model/quantize/clip_search.h"
#include "model/quantize/grid.h"

namespace sluice {
namespace {

constexpr uint32_t kScaleSteps = 20;
constexpr float kScaleMin = 1e-4f;

// A copy of some rows of a view.
struct Rows {
  std::vector<float> data;
  size_t stride = 0;

  RowsView view() { return {data.data(), stride}; }
};

Rows copy_rows(RowsView from, uint32_t rows, uint32_t columns) {
  Rows out;
  out.stride = (columns + kStripOutputs - 1) / kStripOutputs * kStripOutputs;
  out.data.resize(rows * out.stride);
  for (uint32_t row = 0; row < rows; ++row) {
    std::memcpy(out.view().row(row), from.row(row), columns * sizeof(float));
  }
  return out;
}

void put_rows(Rows* from, uint32_t rows, RowsView to) {
  for (uint32_t row = 0; row < rows; ++row) {
    const size_t count = std::min(from->stride, to.stride);
    std::memcpy(to.row(row), from->view().row(row), count * sizeof(float));
  }
}

std::vector<float> mean_sizes(RowsView x, uint32_t rows, uint32_t columns) {
  std::vector<double> sums(columns);
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t c = 0; c < columns; ++c) sums[c] += std::fabs(static_cast<double>(x.row(row)[c]));
  }
  std::vector<float> means(columns);
  for (uint32_t c = 0; c < columns; ++c) means[c] = static_cast<float>(sums[c] / rows);
  return means;
}

double squared_distance(RowsView a, RowsView b, uint32_t rows, uint32_t columns) {
  double sum = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t c = 0; c < columns; ++c) {
      const auto off = static_cast<double>(a.row(row)[c] - b.row(row)[c]);
      sum += off * off;
    }
  }
  return sum;
}

// What linears share whose inputs are scaled together.
struct ScaleTrial {
  std::vector<LayerPart> parts;
  std::vector<float> x_mean;     // [inputs]
  std::function<double()> loss;  // of the weights that are set
};

class LayerSearch {
 public:
  LayerSearch(const AwqArgs& args, LayerFloats* floats, LayerNorms* norms)
      : args_(args), forward_(*args.forward), floats_(*floats), norms_(*norms) {
    hidden_ = floats_[kO].outputs;
    search_tokens_ = forward_.tokens(true);
    all_tokens_ = forward_.tokens(false);
  }

  void run() {
    record();
    const std::vector<float> attention = best_scale(attention_trial());
    const std::vector<float> values =
        args_.has_shared_heads ? std::vector<float>() : best_scale(linear_trial(kO, &attended_));
    const std::vector<float> mlp = best_scale(mlp_trial());
    const std::vector<float> inner = best_scale(linear_trial(kDown, &inner_));
    scale_columns({kQ, kK, kV}, attention, &normed_);
    divide(&norms_.input, attention);
    if (!values.empty()) {
      scale_columns({kO}, values, &attended_);
      divide_rows(kV, values);
    }
    scale_columns({kGate, kUp}, mlp, &mlp_normed_);
    divide(&norms_.mlp, mlp);
    scale_columns({kDown}, inner, &inner_);
    divide_rows(kUp, inner);
    clip({kV}, &normed_);
    clip({kO}, &attended_);
    clip({kGate, kUp}, &mlp_normed_);
    clip({kDown}, &inner_);
    put_rows(&after_mlp_, all_tokens_, forward_.state().residual());
  }

 private:
  // Runs the layer as it is; inputs are kept for the rows of a search, their means over all.
  void record() {
    const Transformer& state = forward_.state();
    const auto columns = [&](LayerPart part) { return floats_[part].inputs; };
    before_ = copy_rows(state.residual(), search_tokens_, hidden_);
    forward_.run_attention(false);
    normed_ = copy_rows(state.normed(), search_tokens_, hidden_);
    attended_ = copy_rows(state.attended(), search_tokens_, columns(kO));
    means_[kQ] = mean_sizes(state.normed(), all_tokens_, hidden_);
    means_[kO] = mean_sizes(state.attended(), all_tokens_, columns(kO));
    after_attention_ = copy_rows(state.residual(), search_tokens_, hidden_);
    forward_.run_mlp(false);
    mlp_normed_ = copy_rows(state.normed(), search_tokens_, hidden_);
    inner_ = copy_rows(state.inner(), search_tokens_, columns(kDown));
    means_[kGate] = mean_sizes(state.normed(), all_tokens_, hidden_);
    means_[kDown] = mean_sizes(state.inner(), all_tokens_, columns(kDown));
    after_mlp_ = copy_rows(state.residual(), all_tokens_, hidden_);
  }

  ScaleTrial attention_trial() {
    return {{kQ, kK, kV}, means_[kQ], [this] {
              put_rows(&before_, search_tokens_, forward_.state().residual());
              forward_.run_attention(true);
              return distance(&after_attention_);
            }};
  }

  ScaleTrial mlp_trial() {
    return {{kGate, kUp}, means_[kGate], [this] {
              put_rows(&after_attention_, search_tokens_, forward_.state().residual());
              forward_.run_mlp(true);
              return distance(&after_mlp_);
            }};
  }

  // Judged by the linear's own output.
  ScaleTrial linear_trial(LayerPart part, Rows* x) {
    wanted_ = copy_rows(forward_.state().residual(), search_tokens_, hidden_);
    got_ = wanted_;
    forward_.apply(part, x->view(), wanted_.view());
    return {{part}, means_[part], [this, part, x] {
              forward_.apply(part, x->view(), got_.view());
              return squared_distance(got_.view(), wanted_.view(), search_tokens_, hidden_);
            }};
  }

  double distance(Rows* wanted) {
    return squared_distance(forward_.state().residual(), wanted->view(), search_tokens_, hidden_);
  }

  // Where each input's weights stand between 0 and their group's largest, on average.
  std::vector<float> mean_weights(const std::vector<LayerPart>& parts) {
    const uint32_t inputs = floats_[parts[0]].inputs;
    std::vector<double> sums(inputs);
    uint32_t rows = 0;
    for (const LayerPart part : parts) {
      const FloatMatrix& matrix = floats_[part];
      rows += matrix.outputs;
      for (uint32_t n = 0; n < matrix.outputs; ++n) {
        for (uint32_t k = 0; k < inputs; k += args_.group_inputs) {
          const float* group = matrix.row(n) + k;
          float highest = 0;
          for (uint32_t i = 0; i < args_.group_inputs; ++i) {
            highest = std::max(highest, std::fabs(group[i]));
          }
          for (uint32_t i = 0; i < args_.group_inputs; ++i) {
            sums[k + i] += static_cast<double>(std::fabs(group[i]) / (highest + 1e-6f));
          }
        }
      }
    }
    std::vector<float> means(inputs);
    for (uint32_t k = 0; k < inputs; ++k) means[k] = static_cast<float>(sums[k] / rows);
    return means;
  }

  static std::vector<float> scale_at(float ratio,
                                     const std::vector<float>& x_mean,
                                     const std::vector<float>& w_mean) {
    std::vector<float> scale(x_mean.size());
    for (size_t k = 0; k < scale.size(); ++k) {
      const float divisor = std::pow(w_mean[k], 1 - ratio) + kScaleMin;
      scale[k] = std::max(std::pow(x_mean[k], ratio) / divisor, kScaleMin);
    }
    const auto [lowest, highest] = std::minmax_element(scale.begin(), scale.end());
    const float middle = std::sqrt(*lowest * *highest);
    for (float& value : scale) {
      value /= middle;
      if (!std::isfinite(value) || value <= 0) value = 1;
    }
    return scale;
  }

  // The scale with the least loss; all ones where none is better than rounding as it is.
  std::vector<float> best_scale(const ScaleTrial& trial) {
    const std::vector<float> w_mean = mean_weights(trial.parts);
    std::vector<float> best(trial.x_mean.size(), 1.0f);
    double least = loss_of(trial, best);
    for (uint32_t step = 0; step < kScaleSteps; ++step) {
      const float ratio = static_cast<float>(step) / kScaleSteps;
      std::vector<float> scale = scale_at(ratio, trial.x_mean, w_mean);
      const double loss = loss_of(trial, scale);
      if (!(loss < least)) continue;
      least = loss;
      best = std::move(scale);
    }
    for (const LayerPart part : trial.parts) forward_.set(part, floats_[part]);
    return best;
  }

  double loss_of(const ScaleTrial& trial, const std::vector<float>& scale) {
    for (const LayerPart part : trial.parts) {
      FloatMatrix rounded = floats_[part];
      multiply_columns(scale, &rounded);
      round_matrix(args_.group_inputs, args_.pool, &rounded);
      for (uint32_t n = 0; n < rounded.outputs; ++n) {
        for (uint32_t k = 0; k < rounded.inputs; ++k) rounded.row(n)[k] /= scale[k];
      }
      forward_.set(part, rounded);
    }
    return trial.loss();
  }

  static void multiply_columns(const std::vector<float>& scale, FloatMatrix* matrix) {
    for (uint32_t n = 0; n < matrix->outputs; ++n) {
      for (uint32_t k = 0; k < matrix->inputs; ++k) matrix->row(n)[k] *= scale[k];
    }
  }

  // The linears that read x, and x as it will then be.
  void scale_columns(const std::vector<LayerPart>& parts,
                     const std::vector<float>& scale,
                     Rows* x) {
    for (const LayerPart part : parts) multiply_columns(scale, &floats_[part]);
    for (uint32_t row = 0; row < search_tokens_; ++row) {
      for (size_t k = 0; k < scale.size(); ++k) x->view().row(row)[k] /= scale[k];
    }
  }

  static void divide(std::vector<float>* values, const std::vector<float>& scale) {
    for (size_t k = 0; k < scale.size(); ++k) (*values)[k] /= scale[k];
  }

  void divide_rows(LayerPart part, const std::vector<float>& scale) {
    FloatMatrix& matrix = floats_[part];
    for (uint32_t n = 0; n < matrix.outputs; ++n) {
      for (uint32_t k = 0; k < matrix.inputs; ++k) matrix.row(n)[k] /= scale[n];
    }
    if (!matrix.bias.empty()) divide(&matrix.bias, scale);
  }

  void clip(const std::vector<LayerPart>& parts, Rows* x) {
    ClipArgs clip;
    clip.x = x->data.data();
    clip.x_stride = x->stride;
    clip.rows = search_tokens_;
    clip.group_inputs = args_.group_inputs;
    clip.kernels = args_.kernels;
    clip.pool = args_.pool;
    for (const LayerPart part : parts) clip_matrix(clip, &floats_[part]);
  }

  const AwqArgs& args_;
  LayerForward& forward_;
  LayerFloats& floats_;
  LayerNorms& norms_;
  uint32_t hidden_ = 0;
  uint32_t search_tokens_ = 0;
  uint32_t all_tokens_ = 0;
  Rows before_;           // the residual stream, of the rows of a search
  Rows after_attention_;  // ... likewise
  Rows after_mlp_;        // ... of all rows
  Rows normed_;           // what q, k and v read
  Rows attended_;         // o
  Rows mlp_normed_;       // gate, up
  Rows inner_;            // down
  Rows wanted_;           // a linear's output, and what rounded weights make of it
  Rows got_;
  std::array<std::vector<float>, kLayerParts> means_;  // of the first linear that reads them
};

}  // namespace

void search_layer(const AwqArgs& args, LayerFloats* floats, LayerNorms* norms) {
  LayerSearch(args, floats, norms).run();
}

}  // namespace sluice
