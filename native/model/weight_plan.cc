// Hugging Face's names for the tensors of a decoder, their shapes, and which are optional.
#include "model/weight_plan.h"

#include <initializer_list>
#include <string_view>
#include <unordered_set>

namespace sluice {
namespace {

constexpr uint64_t kArenaAlign = 64;

constexpr std::string_view kEmbedding = "model.embed_tokens";
constexpr std::string_view kHead = "lm_head";

// Tables that old exports carry along and that follow from the config.
constexpr std::string_view kDerivedSuffix = "rotary_emb.inv_freq";

bool is_dense(const Tensor& tensor) {
  const std::string& dtype = tensor.info.dtype;
  return dtype == "F32" || dtype == "BF16" || dtype == "F16";
}

std::string show_shape(std::initializer_list<uint64_t> shape) {
  std::string text;
  for (const uint64_t size : shape) text += (text.empty() ? "[" : ", ") + std::to_string(size);
  return text + "]";
}

WeightType weight_type(DenseType type) {
  switch (type) {
    case DenseType::kF32:
      return WeightType::kF32;
    case DenseType::kBf16:
      return WeightType::kBf16;
    case DenseType::kF16:
      return WeightType::kF16;
  }
  return WeightType::kF32;
}

DenseType wished_type(DtypeWish wish, DenseType stored) {
  switch (wish) {
    case DtypeWish::kStored:
      return stored;
    case DtypeWish::kF32:
      return DenseType::kF32;
    case DtypeWish::kBf16:
      return DenseType::kBf16;
    case DtypeWish::kF16:
      return DenseType::kF16;
  }
  return stored;
}

struct Module {
  std::string name;
  uint32_t outputs = 0;
  uint32_t inputs = 0;
  bool has_bias = false;
};

class Planner {
 public:
  Planner(const PlanArgs& args, ModelWeights* weights, WeightPlan* plan)
      : args_(args), config_(*args.config), weights_(weights), plan_(plan) {}

  Status run() {
    weights_->layers.resize(config_.layers);
    SLUICE_RETURN_IF_ERROR(embedding_and_head());
    for (uint32_t i = 0; i < config_.layers; ++i) {
      SLUICE_RETURN_IF_ERROR(
          layer("model.layers." + std::to_string(i) + ".", &weights_->layers[i]));
    }
    SLUICE_RETURN_IF_ERROR(vector("model.norm.weight", config_.hidden, &weights_->final_norm));
    return refuse_unread();
  }

 private:
  const Tensor* find(const std::string& name) { return args_.checkpoint->find(name); }

  uint64_t place(uint64_t bytes) {
    const uint64_t at = plan_->arena_bytes;
    plan_->arena_bytes += (bytes + kArenaAlign - 1) / kArenaAlign * kArenaAlign;
    return at;
  }

  // Notes that a tensor will be read, if it is what is expected.
  Status take(const Tensor* tensor,
              const std::string& name,
              std::initializer_list<uint64_t> shape) {
    if (tensor == nullptr) return {StatusCode::kDamaged, "tensor " + name + " is missing"};
    if (tensor->info.shape != std::vector<uint64_t>(shape)) {
      return {StatusCode::kDamaged,
              "tensor " + name + ": found " + describe_tensor(tensor->info) +
                  ", config.json makes it " + show_shape(shape)};
    }
    used_.insert(name);
    plan_->stored_bytes += tensor->info.bytes;
    return Status::ok();
  }

  Status take_dense(const Tensor* tensor,
                    const std::string& name,
                    std::initializer_list<uint64_t> shape) {
    SLUICE_RETURN_IF_ERROR(take(tensor, name, shape));
    if (is_dense(*tensor)) return Status::ok();
    return {StatusCode::kUnsupported,
            "tensor " + name + ": found " + tensor->info.dtype + "; supported: F32, BF16, F16"};
  }

  Status take_words(const Tensor* tensor,
                    const std::string& name,
                    std::initializer_list<uint64_t> shape) {
    SLUICE_RETURN_IF_ERROR(take(tensor, name, shape));
    if (tensor->info.dtype == "I32") return Status::ok();
    return {StatusCode::kUnsupported,
            "tensor " + name + ": found " + tensor->info.dtype + "; supported: I32"};
  }

  Status vector(const std::string& name, uint64_t size, const float** out) {
    const Tensor* tensor = find(name);
    SLUICE_RETURN_IF_ERROR(take_dense(tensor, name, {size}));
    plan_->vectors.push_back({out, tensor, place(size * sizeof(float))});
    return Status::ok();
  }

  Status dense_matrix(const Module& module, MatrixFill* fill) {
    const std::string name = module.name + ".weight";
    fill->weight = find(name);
    SLUICE_RETURN_IF_ERROR(take_dense(fill->weight, name, {module.outputs, module.inputs}));
    fill->matrix->type = weight_type(wished_type(args_.wish, dense_type_of(*fill->weight)));
    return Status::ok();
  }

  Status unsupported(const Module& module, const std::string& what) {
    return {StatusCode::kUnsupported, "module " + module.name + ": " + what};
  }

  // A quantised tensor of a method that the config does not name.
  Status foreign(const Module& module, const std::string& found, const std::string& method) {
    const bool has_none = config_.quant.method == QuantMethod::kNone;
    return unsupported(
        module,
        "found " + found + ", but config.json " +
            (has_none ? "has no quantization_config" : "says another quantisation than " + method));
  }

  // The inputs that share a scale, where they and the outputs divide as stored words do.
  Status int4_group(const Module& module, uint32_t* group) {
    const uint32_t given = config_.quant.group_inputs;
    *group = given == 0 ? module.inputs : given;
    if (module.inputs % *group == 0 && *group % 8 == 0 && module.outputs % 8 == 0) {
      return Status::ok();
    }
    return unsupported(module,
                       std::to_string(module.outputs) + " outputs of " +
                           std::to_string(module.inputs) +
                           " inputs do not divide into words of 8 and groups of " +
                           std::to_string(*group) + " inputs");
  }

  Status awq_matrix(const Module& module, MatrixFill* fill) {
    if (config_.quant.method != QuantMethod::kAwqGemm) {
      return foreign(module, "qweight", "AWQ");
    }
    uint32_t group = 0;
    SLUICE_RETURN_IF_ERROR(int4_group(module, &group));
    const uint64_t groups = module.inputs / group;
    const uint64_t words = module.outputs / 8;
    SLUICE_RETURN_IF_ERROR(
        take_words(fill->qweight, module.name + ".qweight", {module.inputs, words}));
    fill->scales = find(module.name + ".scales");
    SLUICE_RETURN_IF_ERROR(
        take_dense(fill->scales, module.name + ".scales", {groups, module.outputs}));
    fill->qzeros = find(module.name + ".qzeros");
    if (fill->qzeros != nullptr) {
      SLUICE_RETURN_IF_ERROR(take_words(fill->qzeros, module.name + ".qzeros", {groups, words}));
    }
    fill->matrix->type = WeightType::kInt4;
    fill->matrix->group_inputs = group;
    return Status::ok();
  }

  // weight_packed: words of 4-bit or 8-bit values along the inputs.
  Status packed_matrix(const Module& module, MatrixFill* fill) {
    const std::string shape = module.name + ".weight_shape";
    if (const Tensor* tensor = find(shape)) SLUICE_RETURN_IF_ERROR(take(tensor, shape, {2}));
    if (config_.quant.method == QuantMethod::kInt8Channel) {
      const std::string name = module.name + ".weight_packed";
      SLUICE_RETURN_IF_ERROR(take_words(fill->qweight, name, {module.outputs, module.inputs / 4}));
      fill->int8_offset = 128;
      return int8_scales(module, fill);
    }
    if (config_.quant.method != QuantMethod::kPackQuantized) {
      return foreign(module, "weight_packed", "compressed-tensors");
    }
    uint32_t group = 0;
    SLUICE_RETURN_IF_ERROR(int4_group(module, &group));
    const uint64_t groups = module.inputs / group;
    SLUICE_RETURN_IF_ERROR(take_words(
        fill->qweight, module.name + ".weight_packed", {module.outputs, module.inputs / 8}));
    fill->scales = find(module.name + ".weight_scale");
    SLUICE_RETURN_IF_ERROR(
        take_dense(fill->scales, module.name + ".weight_scale", {module.outputs, groups}));
    const std::string zeros = module.name + ".weight_zero_point";
    fill->qzeros = find(zeros);
    if (fill->qzeros != nullptr) {
      SLUICE_RETURN_IF_ERROR(take_words(fill->qzeros, zeros, {module.outputs / 8, groups}));
    }
    fill->packing = Int4Packing::kPackQuantized;
    fill->matrix->type = WeightType::kInt4;
    fill->matrix->group_inputs = group;
    return Status::ok();
  }

  Status int8_matrix(const Module& module, MatrixFill* fill) {
    if (config_.quant.method != QuantMethod::kInt8Channel) {
      return foreign(module, "int8 weights", "compressed-tensors in 8 bits");
    }
    SLUICE_RETURN_IF_ERROR(
        take(fill->qweight, module.name + ".weight", {module.outputs, module.inputs}));
    return int8_scales(module, fill);
  }

  Status int8_scales(const Module& module, MatrixFill* fill) {
    fill->is_int8 = true;
    fill->scales = find(module.name + ".weight_scale");
    SLUICE_RETURN_IF_ERROR(
        take_dense(fill->scales, module.name + ".weight_scale", {module.outputs, 1}));
    fill->matrix->type = weight_type(wished_type(args_.wish, DenseType::kF32));
    return Status::ok();
  }

  // A module is quantised iff it has a quantised tensor, whatever the config says of it.
  Status matrix(const Module& module, Matrix* out) {
    MatrixFill fill;
    fill.matrix = out;
    out->outputs = module.outputs;
    out->inputs = module.inputs;
    const Tensor* const weight = find(module.name + ".weight");
    const Tensor* const awq = find(module.name + ".qweight");
    const Tensor* const packed = find(module.name + ".weight_packed");
    if ((weight != nullptr) + (awq != nullptr) + (packed != nullptr) > 1) {
      return {StatusCode::kDamaged,
              "module " + module.name + " has both weight and " +
                  (awq != nullptr ? "qweight" : "weight_packed")};
    }
    if (awq != nullptr) {
      fill.qweight = awq;
      SLUICE_RETURN_IF_ERROR(awq_matrix(module, &fill));
    } else if (packed != nullptr) {
      fill.qweight = packed;
      SLUICE_RETURN_IF_ERROR(packed_matrix(module, &fill));
    } else if (weight != nullptr && weight->info.dtype == "I8") {
      fill.qweight = weight;
      SLUICE_RETURN_IF_ERROR(int8_matrix(module, &fill));
    } else {
      SLUICE_RETURN_IF_ERROR(dense_matrix(module, &fill));
    }
    const uint64_t strips = out->strips();
    fill.weights_at = place(strips * out->strip_bytes());
    if (out->type == WeightType::kInt4) {
      const uint64_t scales = strips * out->groups() * kStripOutputs;
      fill.scales_at = place(scales * sizeof(float));
      fill.zeros_at = place(scales);
    }
    if (module.has_bias) {
      fill.bias = find(module.name + ".bias");
      SLUICE_RETURN_IF_ERROR(take_dense(fill.bias, module.name + ".bias", {module.outputs}));
      fill.bias_at = place(strips * kStripOutputs * sizeof(float));
    }
    plan_->matrices.push_back(fill);
    return Status::ok();
  }

  Status linear(const std::vector<Module>& modules, Linear* out) {
    out->parts.resize(modules.size());
    uint32_t column = 0;
    for (size_t i = 0; i < modules.size(); ++i) {
      out->parts[i].column = column;
      SLUICE_RETURN_IF_ERROR(matrix(modules[i], &out->parts[i].matrix));
      column += out->parts[i].matrix.strips() * kStripOutputs;
    }
    return Status::ok();
  }

  Status layer(const std::string& prefix, LayerWeights* out) {
    const uint32_t hidden = config_.hidden;
    const uint32_t inner = config_.intermediate;
    const uint32_t q = config_.heads * config_.head_dim;
    const uint32_t kv = config_.kv_heads * config_.head_dim;
    const std::string attention = prefix + "self_attn.";
    const std::string mlp = prefix + "mlp.";
    SLUICE_RETURN_IF_ERROR(vector(prefix + "input_layernorm.weight", hidden, &out->input_norm));
    SLUICE_RETURN_IF_ERROR(
        vector(prefix + "post_attention_layernorm.weight", hidden, &out->mlp_norm));
    if (config_.has_qk_norm) {
      const uint32_t head = config_.head_dim;
      SLUICE_RETURN_IF_ERROR(vector(attention + "q_norm.weight", head, &out->query_norm));
      SLUICE_RETURN_IF_ERROR(vector(attention + "k_norm.weight", head, &out->key_norm));
    }
    SLUICE_RETURN_IF_ERROR(linear({{attention + "q_proj", q, hidden, config_.has_qkv_bias},
                                   {attention + "k_proj", kv, hidden, config_.has_qkv_bias},
                                   {attention + "v_proj", kv, hidden, config_.has_qkv_bias}},
                                  &out->qkv));
    SLUICE_RETURN_IF_ERROR(
        linear({{attention + "o_proj", hidden, q, config_.has_output_bias}}, &out->output));
    SLUICE_RETURN_IF_ERROR(linear({{mlp + "gate_proj", inner, hidden, config_.has_mlp_bias},
                                   {mlp + "up_proj", inner, hidden, config_.has_mlp_bias}},
                                  &out->gate_up));
    return linear({{mlp + "down_proj", hidden, inner, config_.has_mlp_bias}}, &out->down);
  }

  // Tied checkpoints store one matrix under either name, or the same matrix under both.
  Status embedding_and_head() {
    const Module embedding{std::string(kEmbedding), config_.vocab_size, config_.hidden, false};
    Module head = embedding;
    head.name = kHead;
    const bool has_embedding = find(embedding.name + ".weight") != nullptr;
    const bool has_head = find(head.name + ".weight") != nullptr ||
                          find(head.name + ".qweight") != nullptr ||
                          find(head.name + ".weight_packed") != nullptr;
    const bool is_tied = config_.tying == Tying::kTied ||
                         (config_.tying == Tying::kUnsaid && !(has_embedding && has_head));
    if (!is_tied) {
      SLUICE_RETURN_IF_ERROR(matrix(embedding, &weights_->embedding));
      return linear({head}, &weights_->head);
    }
    used_.insert(head.name + ".weight");
    return matrix(has_embedding || !has_head ? embedding : head, &weights_->embedding);
  }

  Status refuse_unread() {
    for (const auto& [name, tensor] : args_.checkpoint->tensors()) {
      if (used_.contains(name) || name.ends_with(kDerivedSuffix)) continue;
      return {StatusCode::kUnsupported,
              "tensor " + name + " (" + describe_tensor(tensor.info) + ") is no part of a " +
                  config_.family + " model as config.json describes it"};
    }
    return Status::ok();
  }

  const PlanArgs& args_;
  const ModelConfig& config_;
  ModelWeights* weights_;
  WeightPlan* plan_;
  std::unordered_set<std::string> used_;
};

}  // namespace

DenseType dense_type_of(const Tensor& tensor) {
  if (tensor.info.dtype == "F32") return DenseType::kF32;
  return tensor.info.dtype == "BF16" ? DenseType::kBf16 : DenseType::kF16;
}

Status plan_weights(const PlanArgs& args, ModelWeights* weights, WeightPlan* plan) {
  return Planner(args, weights, plan).run();
}

}  // namespace sluice
