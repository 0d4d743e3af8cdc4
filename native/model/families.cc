// The table of families.
#include "model/families.h"

namespace sluice {
namespace {

constexpr Family kFamilies[] = {
    {.model_type = "llama",
     .architecture = "LlamaForCausalLM",
     .always_qkv_bias = false,
     .may_attention_bias = true,
     .output_bias_as_qkv = true,
     .may_mlp_bias = true,
     .has_qk_norm = false,
     .head_dim_default = 0,
     .window = WindowRule::kNone},
    {.model_type = "mistral",
     .architecture = "MistralForCausalLM",
     .always_qkv_bias = false,
     .may_attention_bias = false,
     .output_bias_as_qkv = false,
     .may_mlp_bias = false,
     .has_qk_norm = false,
     .head_dim_default = 0,
     .window = WindowRule::kWhenGiven},
    {.model_type = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .always_qkv_bias = true,
     .may_attention_bias = false,
     .output_bias_as_qkv = false,
     .may_mlp_bias = false,
     .has_qk_norm = false,
     .head_dim_default = 0,
     .window = WindowRule::kWhenAsked},
    {.model_type = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .always_qkv_bias = false,
     .may_attention_bias = true,
     .output_bias_as_qkv = true,
     .may_mlp_bias = false,
     .has_qk_norm = true,
     .head_dim_default = 128,
     .window = WindowRule::kWhenAsked},
};

}  // namespace

const Family* find_family(std::string_view model_type) {
  for (const Family& family : kFamilies) {
    if (family.model_type == model_type) return &family;
  }
  return nullptr;
}

std::string known_families() {
  std::string names;
  for (const Family& family : kFamilies) {
    if (!names.empty()) names += ", ";
    names += family.model_type;
  }
  return names;
}

}  // namespace sluice
