// One small reader for each group of keys; each refuses by its key's name.
#include "model/config.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "kernels/attention.h"
#include "model/families.h"
#include "model/json.h"

namespace sluice {
namespace {

Status refused(std::string_view key, const JsonValue* found, const std::string& supported) {
  return {StatusCode::kUnsupported,
          std::string(key) + ": found " + (found == nullptr ? "nothing" : found->describe()) +
              "; supported: " + supported};
}

// A member that is there and not null.
const JsonValue* find(const JsonValue& object, std::string_view key) {
  const JsonValue* value = object.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

struct CountRule {
  uint32_t min = 1;
  uint32_t max = 0;
  uint32_t fallback = 0;  // for an absent key; 0: it must be there
};

Status read_count(const JsonValue& root, const char* key, const CountRule& rule, uint32_t* out) {
  const JsonValue* value = find(root, key);
  if (value == nullptr && rule.fallback > 0) {
    *out = rule.fallback;
    return Status::ok();
  }
  const auto whole = value == nullptr ? std::nullopt : value->whole();
  if (!whole || *whole < rule.min || *whole > rule.max) {
    return refused(key, value, std::to_string(rule.min) + " to " + std::to_string(rule.max));
  }
  *out = static_cast<uint32_t>(*whole);
  return Status::ok();
}

Status read_positive(const JsonValue& root, const char* key, double max, double* out) {
  const JsonValue* value = find(root, key);
  if (value == nullptr) return Status::ok();
  if (!value->is_number() || !(value->number() > 0) || !(value->number() <= max)) {
    return refused(key, value, "a number above 0, at most " + std::to_string(max));
  }
  *out = value->number();
  return Status::ok();
}

Status read_flag(const JsonValue& root, const char* key, bool* out) {
  const JsonValue* value = find(root, key);
  if (value == nullptr) return Status::ok();
  if (!value->is_bool()) return refused(key, value, "true or false");
  *out = value->boolean();
  return Status::ok();
}

Status read_sizes(const JsonValue& root, const Family& family, ModelConfig* config) {
  ModelConfig& c = *config;
  SLUICE_RETURN_IF_ERROR(read_count(root, "vocab_size", {.max = kVocabMax}, &c.vocab_size));
  SLUICE_RETURN_IF_ERROR(read_count(root, "hidden_size", {.max = kHiddenMax}, &c.hidden));
  SLUICE_RETURN_IF_ERROR(
      read_count(root, "intermediate_size", {.max = kIntermediateMax}, &c.intermediate));
  SLUICE_RETURN_IF_ERROR(read_count(root, "num_hidden_layers", {.max = kLayersMax}, &c.layers));
  SLUICE_RETURN_IF_ERROR(read_count(root, "num_attention_heads", {.max = kHeadsMax}, &c.heads));
  SLUICE_RETURN_IF_ERROR(read_count(
      root, "num_key_value_heads", {.max = kHeadsMax, .fallback = c.heads}, &c.kv_heads));
  SLUICE_RETURN_IF_ERROR(read_count(
      root, "max_position_embeddings", {.max = kContextTokensMax}, &c.context_tokens_max));
  if (c.heads % c.kv_heads != 0 || c.group() > kAttentionRowsMax) {
    return refused("num_key_value_heads",
                   root.find("num_key_value_heads"),
                   "a divisor of the " + std::to_string(c.heads) + " heads, at least 1/" +
                       std::to_string(kAttentionRowsMax) + " of them");
  }
  const uint32_t own = c.hidden / c.heads;
  const uint32_t fallback = family.head_dim_default > 0 ? family.head_dim_default : own;
  SLUICE_RETURN_IF_ERROR(read_count(
      root, "head_dim", {.max = kHeadDimMax, .fallback = std::max(fallback, 1u)}, &c.head_dim));
  if (c.head_dim % kHeadDimUnit == 0 && c.head_dim <= kHeadDimMax) return Status::ok();
  return {StatusCode::kUnsupported,
          "head_dim: found " + std::to_string(c.head_dim) + "; supported: multiples of " +
              std::to_string(kHeadDimUnit) + " up to " + std::to_string(kHeadDimMax)};
}

Status read_llama3(const JsonValue& scaling, RopeConfig* rope) {
  constexpr double kMost = 1e6;
  for (const char* key :
       {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
    if (find(scaling, key) == nullptr) return refused(key, nullptr, "a number above 0");
  }
  SLUICE_RETURN_IF_ERROR(read_positive(scaling, "factor", kMost, &rope->factor));
  SLUICE_RETURN_IF_ERROR(
      read_positive(scaling, "low_freq_factor", kMost, &rope->low_frequency_factor));
  SLUICE_RETURN_IF_ERROR(
      read_positive(scaling, "high_freq_factor", kMost, &rope->high_frequency_factor));
  SLUICE_RETURN_IF_ERROR(read_positive(scaling,
                                       "original_max_position_embeddings",
                                       kContextTokensMax,
                                       &rope->original_context_tokens));
  if (rope->high_frequency_factor > rope->low_frequency_factor) return Status::ok();
  return refused("high_freq_factor", scaling.find("high_freq_factor"), "above low_freq_factor");
}

// Before version 5 transformers wrote rope_theta and rope_scaling, now it writes rope_parameters.
Status read_rope(const JsonValue& root, RopeConfig* rope) {
  constexpr double kThetaMax = 1e12;
  SLUICE_RETURN_IF_ERROR(read_positive(root, "rope_theta", kThetaMax, &rope->theta));
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const JsonValue* scaling = find(root, key);
    if (scaling == nullptr) continue;
    if (!scaling->is_object()) return refused(key, scaling, "an object or null");
    SLUICE_RETURN_IF_ERROR(read_positive(*scaling, "rope_theta", kThetaMax, &rope->theta));
    const JsonValue* type = find(*scaling, "rope_type");
    if (type == nullptr) type = find(*scaling, "type");
    const std::string name = type == nullptr ? "" : type->text();
    const bool is_scaled = type != nullptr || find(*scaling, "factor") != nullptr;
    if (name == "default" || !is_scaled) continue;
    if (name != "llama3") return refused(std::string(key) + ".rope_type", type, "default, llama3");
    SLUICE_RETURN_IF_ERROR(read_llama3(*scaling, rope));
  }
  double rotated = 1;
  SLUICE_RETURN_IF_ERROR(read_positive(root, "partial_rotary_factor", 1, &rotated));
  if (rotated == 1) return Status::ok();
  return refused("partial_rotary_factor", root.find("partial_rotary_factor"), "1");
}

Status read_group(const JsonValue& from, const char* key, uint32_t* group_inputs) {
  const JsonValue* group = find(from, key);
  const double size = group != nullptr && group->is_number() ? group->number() : 0;
  if (size != 32 && size != 64 && size != 128 && size != -1) {
    return refused("quantization_config." + std::string(key), group, "32, 64, 128, -1");
  }
  *group_inputs = size == -1 ? 0 : static_cast<uint32_t>(size);
  return Status::ok();
}

Status read_awq(const JsonValue& quantization, QuantConfig* config) {
  const JsonValue* bits = find(quantization, "bits");
  if (bits == nullptr) bits = find(quantization, "w_bit");
  if (bits == nullptr || bits->whole() != 4) return refused("quantization_config.bits", bits, "4");
  const JsonValue* version = find(quantization, "version");
  std::string name = version == nullptr ? "gemm" : version->text();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  if (name != "gemm") return refused("quantization_config.version", version, "gemm");
  config->method = QuantMethod::kAwqGemm;
  const bool is_short = find(quantization, "group_size") != nullptr;
  return read_group(quantization, is_short ? "group_size" : "q_group_size", &config->group_inputs);
}

// One group of linears whose weights alone are quantised, as llm-compressor writes W4A16 and W8A16.
Status read_compressed(const JsonValue& quantization, QuantConfig* config) {
  const std::string prefix = "quantization_config.";
  const JsonValue* groups = find(quantization, "config_groups");
  if (groups == nullptr || !groups->is_object() || groups->items().size() != 1) {
    return refused(prefix + "config_groups", groups, "one group");
  }
  const JsonValue& group = groups->items()[0];
  const JsonValue* weights = group.is_object() ? find(group, "weights") : nullptr;
  if (weights == nullptr || !weights->is_object()) {
    return refused(prefix + "config_groups.weights", weights, "an object");
  }
  for (const char* key : {"input_activations", "output_activations"}) {
    const JsonValue* activations = find(group, key);
    if (activations != nullptr) return refused(prefix + key, activations, "null");
  }
  const JsonValue* cache = find(quantization, "kv_cache_scheme");
  if (cache != nullptr) return refused(prefix + "kv_cache_scheme", cache, "null");
  const JsonValue* type = find(*weights, "type");
  if (type != nullptr && type->text() != "int") return refused(prefix + "type", type, "int");
  const JsonValue* order = find(*weights, "actorder");
  if (order != nullptr && order->text() == "group") {
    return refused(prefix + "actorder", order, "null, weight");
  }
  const JsonValue* bits = find(*weights, "num_bits");
  const JsonValue* strategy = find(*weights, "strategy");
  const std::string name = strategy == nullptr ? "" : strategy->text();
  const auto count = bits == nullptr ? std::nullopt : bits->whole();
  if (count == 8 && name == "channel") {
    config->method = QuantMethod::kInt8Channel;
    return Status::ok();
  }
  if (count != 4) return refused(prefix + "num_bits", bits, "4; 8 with strategy channel");
  config->method = QuantMethod::kPackQuantized;
  if (name == "channel") return Status::ok();
  if (name != "group") return refused(prefix + "strategy", strategy, "group, channel");
  return read_group(*weights, "group_size", &config->group_inputs);
}

Status read_quantization(const JsonValue& root, QuantConfig* config) {
  const JsonValue* quantization = find(root, "quantization_config");
  if (quantization == nullptr) return Status::ok();
  if (!quantization->is_object()) return refused("quantization_config", quantization, "an object");
  const JsonValue* method = find(*quantization, "quant_method");
  const std::string name = method == nullptr ? "" : method->text();
  if (name == "awq") return read_awq(*quantization, config);
  if (name == "compressed-tensors") return read_compressed(*quantization, config);
  return refused("quantization_config.quant_method", method, "awq, compressed-tensors");
}

// A window that is no shorter than the context changes nothing.
Status check_window(const JsonValue& root, const Family& family, uint32_t context_tokens_max) {
  bool is_asked = family.window == WindowRule::kWhenGiven;
  if (family.window == WindowRule::kWhenAsked) {
    SLUICE_RETURN_IF_ERROR(read_flag(root, "use_sliding_window", &is_asked));
  }
  const JsonValue* window = find(root, "sliding_window");
  if (!is_asked || window == nullptr) return Status::ok();
  const auto tokens = window->whole();
  if (tokens && *tokens >= context_tokens_max) return Status::ok();
  return refused("sliding_window",
                 window,
                 "null, or no shorter than the context of " + std::to_string(context_tokens_max) +
                     " tokens; serve with a shorter context");
}

Status check_kind(const JsonValue& root, const Family& family) {
  const JsonValue* architectures = find(root, "architectures");
  if (architectures != nullptr) {
    const bool is_one = architectures->is_array() && architectures->items().size() == 1;
    const JsonValue* name = is_one ? &architectures->items()[0] : architectures;
    if (name->text() != family.architecture) {
      return refused("architectures", name, std::string(family.architecture));
    }
  }
  for (const char* key : {"hidden_act", "hidden_activation"}) {
    const JsonValue* activation = find(root, key);
    if (activation != nullptr && activation->text() != "silu") {
      return refused(key, activation, "silu");
    }
  }
  for (const char* key : {"num_experts", "num_local_experts", "n_routed_experts"}) {
    const JsonValue* experts = find(root, key);
    if (experts != nullptr && experts->whole() != 0) {
      return refused(key, experts, "none: mixtures of experts are not run");
    }
  }
  return Status::ok();
}

Status read_switches(const JsonValue& root, const Family& family, ModelConfig* config) {
  bool has_attention_bias = false;
  bool has_mlp_bias = false;
  SLUICE_RETURN_IF_ERROR(read_flag(root, "attention_bias", &has_attention_bias));
  SLUICE_RETURN_IF_ERROR(read_flag(root, "mlp_bias", &has_mlp_bias));
  has_attention_bias = has_attention_bias && family.may_attention_bias;
  config->has_qkv_bias = family.always_qkv_bias || has_attention_bias;
  config->has_output_bias = has_attention_bias && family.output_bias_as_qkv;
  config->has_mlp_bias = has_mlp_bias && family.may_mlp_bias;
  config->has_qk_norm = family.has_qk_norm;
  if (find(root, "tie_word_embeddings") != nullptr) {
    bool is_tied = false;
    SLUICE_RETURN_IF_ERROR(read_flag(root, "tie_word_embeddings", &is_tied));
    config->tying = is_tied ? Tying::kTied : Tying::kSeparate;
  }
  double epsilon = 1e-6;
  SLUICE_RETURN_IF_ERROR(read_positive(root, "rms_norm_eps", 1, &epsilon));
  config->norm_epsilon = static_cast<float>(epsilon);
  return Status::ok();
}

}  // namespace

Status parse_config(std::string_view text, uint32_t context_tokens_max, ModelConfig* config) {
  JsonValue root;
  SLUICE_RETURN_IF_ERROR(parse_json(text, &root));
  if (!root.is_object()) {
    return {StatusCode::kDamaged, "found " + root.describe() + ", not an object"};
  }
  const JsonValue* model_type = find(root, "model_type");
  const Family* family = model_type == nullptr ? nullptr : find_family(model_type->text());
  if (family == nullptr) return refused("model_type", model_type, known_families());
  ModelConfig parsed;
  parsed.family = family->model_type;
  SLUICE_RETURN_IF_ERROR(check_kind(root, *family));
  SLUICE_RETURN_IF_ERROR(read_sizes(root, *family, &parsed));
  SLUICE_RETURN_IF_ERROR(read_switches(root, *family, &parsed));
  SLUICE_RETURN_IF_ERROR(read_rope(root, &parsed.rope));
  SLUICE_RETURN_IF_ERROR(read_quantization(root, &parsed.quant));
  if (context_tokens_max > 0) {
    parsed.context_tokens_max = std::min(parsed.context_tokens_max, context_tokens_max);
  }
  SLUICE_RETURN_IF_ERROR(check_window(root, *family, parsed.context_tokens_max));
  *config = parsed;
  return Status::ok();
}

}  // namespace sluice
