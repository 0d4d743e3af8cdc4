// One decoder layer over calibration rows, in float32 and with weights that may be exchanged
// between runs: what a search tries is judged by what the layer then computes. It is the server's
// own forward pass with one layer, so nothing is computed in a second way.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "model/quantize/float_matrix.h"
#include "model/transformer.h"

namespace sluice {

enum LayerPart : uint32_t { kQ, kK, kV, kO, kGate, kUp, kDown, kLayerParts };

// "self_attn.q_proj": Hugging Face's name within a layer.
const char* part_name(LayerPart part);

using LayerFloats = std::array<FloatMatrix, kLayerParts>;

struct CalibrationRows {
  std::span<const uint32_t> ids;  // whole rows
  uint32_t row_tokens = 0;

  uint32_t rows() const { return static_cast<uint32_t>(ids.size() / row_tokens); }
};

class LayerForward {
 public:
  LayerForward(const ModelConfig& config, const Kernels* kernels, ThreadPool* pool);

  // `search_rows`: how many of the rows the runs of a search take.
  Status reserve(const CalibrationRows& calibration, uint32_t search_rows);

  // The residual stream of all rows before the first layer.
  void embed(const Matrix& embedding);

  // The layer's norms; its linears are set one by one.
  void begin_layer(const LayerWeights& norms);
  void set(LayerPart part, const FloatMatrix& matrix);

  void run_attention(bool is_search);
  void run_mlp(bool is_search);
  // y = W x of one part that is alone in its linear: kO, kDown.
  void apply(LayerPart part, RowsView x, RowsView y);

  const Transformer& state() const { return *transformer_; }
  uint32_t tokens(bool is_search) const { return is_search ? search_tokens_ : all_tokens_; }

 private:
  struct Packed {
    LinearPart* part = nullptr;
    std::vector<float> weights;
    std::vector<float> bias;
  };

  ModelConfig config_;    // of one layer
  ModelWeights weights_;  // of one layer
  ThreadPool* pool_;
  KvCache cache_;
  ModelParts parts_;
  std::array<Packed, kLayerParts> packed_;
  std::vector<std::vector<uint32_t>> tables_;
  std::unique_ptr<BatchRows> all_;
  std::unique_ptr<BatchRows> search_;
  uint32_t all_tokens_ = 0;
  uint32_t search_tokens_ = 0;
  std::unique_ptr<Transformer> transformer_;
};

}  // namespace sluice
