// Layer by layer: widen, search, round, write.
#include "model/quantize/quantize.h"

#include <algorithm>
#include <cmath>

#include "kernels/dtype.h"
#include "kernels/matmul.h"
#include "model/model_load.h"
#include "model/quantize/awq_search.h"
#include "model/quantize/grid.h"
#include "model/safetensors_writer.h"
#include "runtime/cpu_count.h"
#include "runtime/flush_denormals.h"
#include "runtime/isa.h"

namespace sluice {
namespace {

// Tokens that the runs of a search take: with more, the losses keep their order.
constexpr uint32_t kSearchTokens = 2048;

constexpr uint32_t kGroupsKnown[] = {128, 64, 32};

// Rows of a dense matrix that are narrowed and written at once.
constexpr uint32_t kRowsAtOnce = 1024;

template <typename Value>
std::span<const uint8_t> bytes_of(const std::vector<Value>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(Value)};
}

std::string layer_prefix(uint32_t layer) {
  return "model.layers." + std::to_string(layer) + ".";
}

const Matrix& matrix_of(const LayerWeights& layer, LayerPart part) {
  if (part <= kV) return layer.qkv.parts[part - kQ].matrix;
  if (part == kO) return layer.output.parts[0].matrix;
  if (part == kDown) return layer.down.parts[0].matrix;
  return layer.gate_up.parts[part - kGate].matrix;
}

class Quantizer {
 public:
  explicit Quantizer(const QuantizeArgs& args)
      : args_(args), pool_(args.threads > 0 ? args.threads : usable_cores()) {}

  Status run() {
    const FlushDenormals flush;
    SLUICE_RETURN_IF_ERROR(choose_isa(&isa_));
    LoadOptions load;
    load.folder = args_.folder;
    SLUICE_RETURN_IF_ERROR(load_model(load, &pool_, &model_));
    SLUICE_RETURN_IF_ERROR(check());
    SLUICE_RETURN_IF_ERROR(writer_.open(args_.file, tensors()));
    LayerForward forward(model_.config, &kernels_for(isa_), &pool_);
    if (args_.method == QuantizeMethod::kAwq) {
      const uint32_t search = std::max(1u, kSearchTokens / args_.calibration.row_tokens);
      SLUICE_RETURN_IF_ERROR(
          forward.reserve(args_.calibration, std::min(search, args_.calibration.rows())));
      forward.embed(model_.weights.embedding);
    }
    for (uint32_t layer = 0; layer < model_.config.layers; ++layer) {
      if (args_.progress) args_.progress(layer, model_.config.layers);
      SLUICE_RETURN_IF_ERROR(quantize_layer(layer, &forward));
    }
    SLUICE_RETURN_IF_ERROR(write_dense("model.embed_tokens.weight", model_.weights.embedding));
    if (!is_tied()) SLUICE_RETURN_IF_ERROR(write_dense("lm_head.weight", head()));
    SLUICE_RETURN_IF_ERROR(
        write_halves("model.norm.weight", model_.weights.final_norm, model_.config.hidden));
    return writer_.finish();
  }

 private:
  const Matrix& head() const { return model_.weights.head.parts[0].matrix; }
  bool is_tied() const { return head().weights == model_.weights.embedding.weights; }
  bool is_int8() const { return args_.method == QuantizeMethod::kInt8; }

  Status check() const {
    if (model_.config.quant.method != QuantMethod::kNone) {
      return {StatusCode::kUnsupported,
              args_.folder + ": it is quantised already; quantise the model that it was made from"};
    }
    if (is_int8()) return Status::ok();
    for (uint32_t i = 0; i < kLayerParts; ++i) {
      const auto part = static_cast<LayerPart>(i);
      const Matrix& matrix = matrix_of(model_.weights.layers[0], part);
      const std::string name = std::string(part_name(part));
      if (matrix.outputs % 8 != 0) {
        return {StatusCode::kUnsupported,
                name + ": its " + std::to_string(matrix.outputs) +
                    " outputs do not divide into words of 8; --int8 has no words"};
      }
      if (matrix.inputs % args_.group_inputs == 0) continue;
      return {StatusCode::kUnsupported,
              name + ": groups of " + std::to_string(args_.group_inputs) + " do not divide its " +
                  std::to_string(matrix.inputs) + " inputs; " + groups_that_do()};
    }
    return Status::ok();
  }

  std::string groups_that_do() const {
    std::string names;
    for (const uint32_t group : kGroupsKnown) {
      const auto divides = [&](uint32_t part) {
        const Matrix& matrix = matrix_of(model_.weights.layers[0], static_cast<LayerPart>(part));
        return matrix.inputs % group == 0;
      };
      bool all = true;
      for (uint32_t i = 0; i < kLayerParts; ++i) all = all && divides(i);
      if (all) names += (names.empty() ? "--group " : " or --group ") + std::to_string(group);
    }
    return names.empty() ? "none of 128, 64, 32 does for all; --int8 needs none" : names + " would";
  }

  void add_linear(const std::string& name,
                  const Matrix& matrix,
                  std::vector<NewTensor>* out) const {
    const uint64_t inputs = matrix.inputs;
    const uint64_t outputs = matrix.outputs;
    if (is_int8()) {
      out->push_back({name + ".weight", "I8", {outputs, inputs}});
      out->push_back({name + ".weight_scale", "F16", {outputs, 1}});
    } else {
      const uint64_t groups = inputs / args_.group_inputs;
      out->push_back({name + ".qweight", "I32", {inputs, outputs / 8}});
      out->push_back({name + ".qzeros", "I32", {groups, outputs / 8}});
      out->push_back({name + ".scales", "F16", {groups, outputs}});
    }
    if (matrix.bias != nullptr) out->push_back({name + ".bias", "F16", {outputs}});
  }

  std::vector<NewTensor> tensors() const {
    const ModelConfig& config = model_.config;
    const std::vector<uint64_t> table = {config.vocab_size, config.hidden};
    std::vector<NewTensor> out = {{"model.embed_tokens.weight", "F16", table}};
    for (uint32_t i = 0; i < config.layers; ++i) {
      const LayerWeights& layer = model_.weights.layers[i];
      const std::string prefix = layer_prefix(i);
      out.push_back({prefix + "input_layernorm.weight", "F16", {config.hidden}});
      out.push_back({prefix + "post_attention_layernorm.weight", "F16", {config.hidden}});
      if (config.has_qk_norm) {
        out.push_back({prefix + "self_attn.q_norm.weight", "F16", {config.head_dim}});
        out.push_back({prefix + "self_attn.k_norm.weight", "F16", {config.head_dim}});
      }
      for (uint32_t part = 0; part < kLayerParts; ++part) {
        const auto name = static_cast<LayerPart>(part);
        add_linear(prefix + part_name(name), matrix_of(layer, name), &out);
      }
    }
    out.push_back({"model.norm.weight", "F16", {config.hidden}});
    if (!is_tied()) out.push_back({"lm_head.weight", "F16", table});
    return out;
  }

  Status quantize_layer(uint32_t index, LayerForward* forward) {
    const LayerWeights& layer = model_.weights.layers[index];
    const uint32_t hidden = model_.config.hidden;
    LayerFloats floats;
    for (uint32_t i = 0; i < kLayerParts; ++i) {
      floats[i] = widen_matrix(matrix_of(layer, static_cast<LayerPart>(i)), &pool_);
    }
    LayerNorms norms{{layer.input_norm, layer.input_norm + hidden},
                     {layer.mlp_norm, layer.mlp_norm + hidden}};
    if (args_.method == QuantizeMethod::kAwq) {
      forward->begin_layer(layer);
      for (uint32_t i = 0; i < kLayerParts; ++i) {
        forward->set(static_cast<LayerPart>(i), floats[i]);
      }
      AwqArgs awq;
      awq.forward = forward;
      awq.group_inputs = args_.group_inputs;
      awq.has_shared_heads = model_.config.group() > 1;
      awq.kernels = &kernels_for(isa_);
      awq.pool = &pool_;
      search_layer(awq, &floats, &norms);
    }
    return write_layer(index, floats, norms);
  }

  Status write_layer(uint32_t index, const LayerFloats& floats, const LayerNorms& norms) {
    const LayerWeights& layer = model_.weights.layers[index];
    const ModelConfig& config = model_.config;
    const std::string prefix = layer_prefix(index);
    SLUICE_RETURN_IF_ERROR(
        write_halves(prefix + "input_layernorm.weight", norms.input.data(), config.hidden));
    SLUICE_RETURN_IF_ERROR(
        write_halves(prefix + "post_attention_layernorm.weight", norms.mlp.data(), config.hidden));
    if (config.has_qk_norm) {
      SLUICE_RETURN_IF_ERROR(
          write_halves(prefix + "self_attn.q_norm.weight", layer.query_norm, config.head_dim));
      SLUICE_RETURN_IF_ERROR(
          write_halves(prefix + "self_attn.k_norm.weight", layer.key_norm, config.head_dim));
    }
    std::array<AwqTensors, kLayerParts> awq;
    std::array<Int8Tensors, kLayerParts> int8;
    pool_.run(kLayerParts, 1, [&](WorkRange parts, uint32_t) {
      for (uint32_t i = parts.begin; i < parts.end; ++i) {
        if (is_int8()) {
          int8[i] = to_int8(floats[i]);
        } else {
          awq[i] = to_awq(floats[i], args_.group_inputs);
        }
      }
    });
    for (uint32_t i = 0; i < kLayerParts; ++i) {
      const std::string name = prefix + part_name(static_cast<LayerPart>(i));
      if (is_int8()) {
        SLUICE_RETURN_IF_ERROR(writer_.write(name + ".weight", 0, bytes_of(int8[i].weight)));
        SLUICE_RETURN_IF_ERROR(
            writer_.write(name + ".weight_scale", 0, bytes_of(int8[i].weight_scale)));
      } else {
        SLUICE_RETURN_IF_ERROR(writer_.write(name + ".qweight", 0, bytes_of(awq[i].qweight)));
        SLUICE_RETURN_IF_ERROR(writer_.write(name + ".qzeros", 0, bytes_of(awq[i].qzeros)));
        SLUICE_RETURN_IF_ERROR(writer_.write(name + ".scales", 0, bytes_of(awq[i].scales)));
      }
      if (floats[i].bias.empty()) continue;
      SLUICE_RETURN_IF_ERROR(
          write_halves(name + ".bias", floats[i].bias.data(), floats[i].outputs));
    }
    return Status::ok();
  }

  Status narrow(const std::string& name, float value, uint16_t* out) const {
    *out = f32_to_f16(value);
    if (!std::isfinite(value) || std::isfinite(f16_to_f32(*out))) return Status::ok();
    return {StatusCode::kUnsupported,
            "tensor " + name + " holds values beyond float16, which quantised files are made of"};
  }

  Status write_halves(const std::string& name, const float* values, uint32_t count) {
    std::vector<uint16_t> halves(count);
    for (uint32_t i = 0; i < count; ++i) {
      SLUICE_RETURN_IF_ERROR(narrow(name, values[i], &halves[i]));
    }
    return writer_.write(name, 0, bytes_of(halves));
  }

  Status write_dense(const std::string& name, const Matrix& matrix) {
    std::vector<uint16_t> halves;
    for (uint32_t first = 0; first < matrix.outputs; first += kRowsAtOnce) {
      const uint32_t end = std::min(first + kRowsAtOnce, matrix.outputs);
      halves.resize(uint64_t{end - first} * matrix.inputs);
      size_t at = 0;
      for (uint32_t n = first; n < end; ++n) {
        for (uint32_t k = 0; k < matrix.inputs; ++k) {
          SLUICE_RETURN_IF_ERROR(narrow(name, weight_at(matrix, n, k), &halves[at++]));
        }
      }
      const uint64_t offset = uint64_t{first} * matrix.inputs * sizeof(uint16_t);
      SLUICE_RETURN_IF_ERROR(writer_.write(name, offset, bytes_of(halves)));
    }
    return Status::ok();
  }

  const QuantizeArgs& args_;
  ThreadPool pool_;
  Isa isa_ = Isa::kScalar;
  LoadedModel model_;
  SafetensorsWriter writer_;
};

}  // namespace

Status quantize_model(const QuantizeArgs& args) {
  return Quantizer(args).run();
}

}  // namespace sluice
