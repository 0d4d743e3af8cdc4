// A decoder's forward pass in float64, written from the formulas and from nothing of the product:
// no cache, no batch, one position after another. Rounding::kBf16 rounds what an engine in bf16
// stores between its operations, weights among it, and nothing else: how far that is from kNone is
// how far such an engine may be.
#pragma once

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "tiny_model.h"

namespace sluice::check {

using Vector = std::vector<double>;

enum class Rounding { kNone, kBf16 };

// To the nearest bf16, ties to even; its range is float32's.
inline double to_bf16(double value) {
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}

class ReferenceForward {
 public:
  explicit ReferenceForward(const TinyModel& model, Rounding rounding = Rounding::kNone)
      : model_(model), spec_(model.spec), rounding_(rounding) {}

  // Log-probabilities of the next token after each position.
  std::vector<Vector> run(const std::vector<uint32_t>& ids) const {
    std::vector<Vector> rows;
    for (const uint32_t id : ids) rows.push_back(kept(row_of(embedding(), id, spec_.hidden)));
    for (uint32_t i = 0; i < spec_.layers; ++i) {
      const std::string prefix = "model.layers." + std::to_string(i) + ".";
      attention(prefix, &rows);
      mlp(prefix, &rows);
    }
    for (Vector& row : rows) {
      row = multiply(head(), spec_.vocab, kept(rmsnorm(row, weights("model.norm.weight"))));
      double total = 0;
      for (const double logit : row) total += std::exp(logit);
      for (double& logit : row) logit -= std::log(total);
    }
    return rows;
  }

 private:
  double kept(double value) const { return rounding_ == Rounding::kBf16 ? to_bf16(value) : value; }

  Vector kept(Vector values) const {
    for (double& value : values) value = kept(value);
    return values;
  }

  const Vector& weights(const std::string& name) const { return model_.values.at(name); }

  const Vector& embedding() const {
    return weights(spec_.head == HeadStorage::kHeadOnly ? "lm_head.weight"
                                                        : "model.embed_tokens.weight");
  }

  const Vector& head() const {
    return spec_.head == HeadStorage::kEmbeddingOnly ? embedding() : weights("lm_head.weight");
  }

  static Vector row_of(const Vector& matrix, uint32_t row, uint32_t size) {
    const auto begin = matrix.begin() + static_cast<std::ptrdiff_t>(size_t{row} * size);
    return {begin, begin + size};
  }

  Vector multiply(const Vector& matrix, uint32_t outputs, const Vector& x) const {
    Vector y(outputs, 0);
    for (uint32_t n = 0; n < outputs; ++n) {
      for (size_t k = 0; k < x.size(); ++k) y[n] += kept(matrix[n * x.size() + k]) * x[k];
    }
    return y;
  }

  Vector linear(const std::string& module, uint32_t outputs, const Vector& x) const {
    Vector y = multiply(weights(module + ".weight"), outputs, x);
    const auto bias = model_.values.find(module + ".bias");
    if (bias == model_.values.end()) return kept(y);
    for (uint32_t n = 0; n < outputs; ++n) y[n] += bias->second[n];
    return kept(y);
  }

  static Vector rmsnorm(const Vector& x, const Vector& weight) {
    double squares = 0;
    for (const double value : x) squares += value * value;
    const double rms = std::sqrt(squares / static_cast<double>(x.size()) + 1e-5);
    Vector y(x.size());
    for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] / rms * weight[i];
    return y;
  }

  // llama3: wavelengths beyond 64 / 1 are 8 times longer, those under 64 / 4 stay, linear in
  // between.
  double frequency(uint32_t pair) const {
    const double base = std::pow(10000.0, -2.0 * pair / spec_.head_dim);
    if (!spec_.llama3) return base;
    const double wavelength = 2 * std::numbers::pi / base;
    if (wavelength > 64) return base / 8;
    if (wavelength < 16) return base;
    const double smooth = (64 / wavelength - 1) / 3;
    return (1 - smooth) * base / 8 + smooth * base;
  }

  Vector head_vector(const Vector& all, uint32_t head) const {
    return row_of(all, head, spec_.head_dim);
  }

  Vector rotate(const Vector& x, uint32_t position) const {
    const uint32_t half = spec_.head_dim / 2;
    Vector y(x.size());
    for (uint32_t i = 0; i < half; ++i) {
      const double angle = position * frequency(i);
      y[i] = x[i] * std::cos(angle) - x[i + half] * std::sin(angle);
      y[i + half] = x[i + half] * std::cos(angle) + x[i] * std::sin(angle);
    }
    return y;
  }

  void attention(const std::string& prefix, std::vector<Vector>* rows) const {
    const std::string name = prefix + "self_attn.";
    const uint32_t dim = spec_.head_dim;
    std::vector<std::vector<Vector>> keys(spec_.kv_heads);
    std::vector<std::vector<Vector>> values(spec_.kv_heads);
    for (uint32_t position = 0; position < rows->size(); ++position) {
      Vector& row = (*rows)[position];
      const Vector x = kept(rmsnorm(row, weights(prefix + "input_layernorm.weight")));
      const Vector q = linear(name + "q_proj", spec_.heads * dim, x);
      const Vector k = linear(name + "k_proj", spec_.kv_heads * dim, x);
      const Vector v = linear(name + "v_proj", spec_.kv_heads * dim, x);
      for (uint32_t h = 0; h < spec_.kv_heads; ++h) {
        Vector key = head_vector(k, h);
        if (spec_.qk_norm) key = rmsnorm(key, weights(name + "k_norm.weight"));
        keys[h].push_back(kept(rotate(key, position)));
        values[h].push_back(head_vector(v, h));
      }
      Vector out;
      for (uint32_t h = 0; h < spec_.heads; ++h) {
        Vector query = head_vector(q, h);
        if (spec_.qk_norm) query = rmsnorm(query, weights(name + "q_norm.weight"));
        const uint32_t shared = h / (spec_.heads / spec_.kv_heads);
        const Vector mixed =
            kept(attend(kept(rotate(query, position)), keys[shared], values[shared]));
        out.insert(out.end(), mixed.begin(), mixed.end());
      }
      const Vector added = linear(name + "o_proj", spec_.hidden, out);
      for (uint32_t i = 0; i < spec_.hidden; ++i) row[i] = kept(row[i] + added[i]);
    }
  }

  static Vector attend(const Vector& query,
                       const std::vector<Vector>& keys,
                       const std::vector<Vector>& values) {
    Vector out(query.size(), 0);
    double total = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      double score = 0;
      for (size_t d = 0; d < query.size(); ++d) score += query[d] * keys[i][d];
      const double weight = std::exp(score / std::sqrt(static_cast<double>(query.size())));
      total += weight;
      for (size_t d = 0; d < query.size(); ++d) out[d] += weight * values[i][d];
    }
    for (double& value : out) value /= total;
    return out;
  }

  void mlp(const std::string& prefix, std::vector<Vector>* rows) const {
    for (Vector& row : *rows) {
      const Vector x = kept(rmsnorm(row, weights(prefix + "post_attention_layernorm.weight")));
      Vector gate = linear(prefix + "mlp.gate_proj", spec_.intermediate, x);
      const Vector up = linear(prefix + "mlp.up_proj", spec_.intermediate, x);
      for (size_t i = 0; i < gate.size(); ++i) {
        gate[i] = kept(gate[i] / (1 + std::exp(-gate[i])) * up[i]);
      }
      const Vector added = linear(prefix + "mlp.down_proj", spec_.hidden, gate);
      for (uint32_t i = 0; i < spec_.hidden; ++i) row[i] = kept(row[i] + added[i]);
    }
  }

  const TinyModel& model_;
  const TinySpec& spec_;
  const Rounding rounding_;
};

}  // namespace sluice::check
