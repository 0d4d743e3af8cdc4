// A model of one layer, whose matrices point into storage of its own.
#include "model/quantize/layer_forward.h"

#include "kernels/pack.h"

namespace sluice {
namespace {

ModelConfig one_layer(ModelConfig config) {
  config.layers = 1;
  return config;
}

Linear* linear_of(LayerWeights* layer, LayerPart part) {
  if (part <= kV) return &layer->qkv;
  if (part == kO) return &layer->output;
  return part == kDown ? &layer->down : &layer->gate_up;
}

uint32_t index_in_linear(LayerPart part) {
  if (part <= kV) return part - kQ;
  return part == kUp ? 1 : 0;
}

void set_columns(Linear* linear) {
  uint32_t column = 0;
  for (LinearPart& part : linear->parts) {
    part.column = column;
    column += part.matrix.strips() * kStripOutputs;
  }
}

}  // namespace

const char* part_name(LayerPart part) {
  constexpr const char* kNames[] = {"self_attn.q_proj",
                                    "self_attn.k_proj",
                                    "self_attn.v_proj",
                                    "self_attn.o_proj",
                                    "mlp.gate_proj",
                                    "mlp.up_proj",
                                    "mlp.down_proj"};
  return kNames[part];
}

LayerForward::LayerForward(const ModelConfig& config, const Kernels* kernels, ThreadPool* pool)
    : config_(one_layer(config)), pool_(pool), cache_(config_) {
  weights_.layers.resize(1);
  LayerWeights& layer = weights_.layers[0];
  layer.qkv.parts.resize(3);
  layer.output.parts.resize(1);
  layer.gate_up.parts.resize(2);
  layer.down.parts.resize(1);
  const uint32_t q = config_.heads * config_.head_dim;
  const uint32_t kv = config_.kv_heads * config_.head_dim;
  const uint32_t outputs[] = {
      q, kv, kv, config_.hidden, config_.intermediate, config_.intermediate, config_.hidden};
  for (uint32_t i = 0; i < kLayerParts; ++i) {
    const auto part = static_cast<LayerPart>(i);
    packed_[i].part = &linear_of(&layer, part)->parts[index_in_linear(part)];
    Matrix& matrix = packed_[i].part->matrix;
    matrix.outputs = outputs[i];
    matrix.inputs = part == kO ? q : part == kDown ? config_.intermediate : config_.hidden;
    packed_[i].weights.resize(matrix.strips() * matrix.strip_bytes() / sizeof(float));
    matrix.weights = reinterpret_cast<const uint8_t*>(packed_[i].weights.data());
  }
  set_columns(&layer.qkv);
  set_columns(&layer.gate_up);
  parts_ = {&config_, &weights_, kernels, pool, &cache_};
  transformer_ = std::make_unique<Transformer>(parts_);
}

Status LayerForward::reserve(const CalibrationRows& calibration, uint32_t search_rows) {
  const uint32_t rows = calibration.rows();
  const uint32_t row_blocks = (calibration.row_tokens + kBlockTokens - 1) / kBlockTokens;
  SLUICE_RETURN_IF_ERROR(cache_.reserve(rows * row_blocks));
  all_tokens_ = rows * calibration.row_tokens;
  search_tokens_ = search_rows * calibration.row_tokens;
  SLUICE_RETURN_IF_ERROR(transformer_->reserve(all_tokens_));
  tables_.resize(rows);
  Batch batch;
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t i = 0; i < row_blocks; ++i) tables_[row].push_back(row * row_blocks + i);
    BatchSequence sequence;
    sequence.slot = row;
    sequence.tokens = calibration.ids.data() + uint64_t{row} * calibration.row_tokens;
    sequence.query_tokens = calibration.row_tokens;
    sequence.block_table = tables_[row].data();
    batch.sequences.push_back(sequence);
  }
  const std::vector<uint32_t> nothing_sampled(rows);
  all_ = std::make_unique<BatchRows>(all_tokens_, rows, config_.group());
  all_->fill(batch, nothing_sampled);
  batch.sequences.resize(search_rows);
  search_ = std::make_unique<BatchRows>(all_tokens_, rows, config_.group());
  search_->fill(batch, nothing_sampled);
  return Status::ok();
}

void LayerForward::embed(const Matrix& embedding) {
  weights_.embedding = embedding;
  transformer_->embed_rows(*all_);
}

void LayerForward::begin_layer(const LayerWeights& norms) {
  LayerWeights& layer = weights_.layers[0];
  layer.input_norm = norms.input_norm;
  layer.query_norm = norms.query_norm;
  layer.key_norm = norms.key_norm;
  layer.mlp_norm = norms.mlp_norm;
}

void LayerForward::set(LayerPart part, const FloatMatrix& from) {
  Packed& packed = packed_[part];
  Matrix& matrix = packed.part->matrix;
  SLUICE_CHECK(from.outputs == matrix.outputs && from.inputs == matrix.inputs);
  auto* out = reinterpret_cast<uint8_t*>(packed.weights.data());
  pool_->run(matrix.strips(), 1, [&](WorkRange strips, uint32_t) {
    for (uint32_t strip = strips.begin; strip < strips.end; ++strip) {
      const uint32_t first = strip * kStripOutputs;
      PackDenseArgs pack;
      pack.rows = reinterpret_cast<const uint8_t*>(from.row(first));
      pack.rows_count = std::min(kStripOutputs, matrix.outputs - first);
      pack.inputs = matrix.inputs;
      pack.strip = out + strip * matrix.strip_bytes();
      pack_dense_strip(pack);
    }
  });
  packed.bias = from.bias;
  packed.bias.resize(from.bias.empty() ? 0 : size_t{matrix.strips()} * kStripOutputs);
  matrix.bias = packed.bias.empty() ? nullptr : packed.bias.data();
}

void LayerForward::run_attention(bool is_search) {
  transformer_->attention_layer(is_search ? *search_ : *all_, 0);
}

void LayerForward::run_mlp(bool is_search) {
  transformer_->mlp_layer(is_search ? *search_ : *all_, weights_.layers[0]);
}

void LayerForward::apply(LayerPart part, RowsView x, RowsView y) {
  Linear* linear = linear_of(&weights_.layers[0], part);
  apply_linear(parts_, {linear, x, search_tokens_, y, false});
}

}  // namespace sluice
