// One tiny model of every family and of every way in which its weights may be stored, for the tests
// of both backends.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tiny_model.h"

namespace sluice::check {

inline TinySpec family(const std::string& type, const std::string& architecture) {
  TinySpec spec;
  spec.type = type;
  spec.architecture = architecture;
  return spec;
}

inline TinySpec awq(uint32_t group, bool has_zeros, DenseType scale_dtype) {
  TinySpec spec;
  spec.hidden = 128;
  spec.intermediate = 256;
  spec.heads = 8;
  spec.awq_group = group;
  spec.has_zeros = has_zeros;
  spec.scale_dtype = scale_dtype;
  spec.dtype = DenseType::kF16;
  return spec;
}

inline std::vector<std::pair<std::string, TinySpec>> tiny_families() {
  std::vector<std::pair<std::string, TinySpec>> all;
  all.push_back({"llama untied", TinySpec()});
  TinySpec spec;
  spec.head = HeadStorage::kEmbeddingOnly;
  spec.dtype = DenseType::kBf16;
  all.push_back({"llama tied, embedding stored, bf16", spec});
  spec.head = HeadStorage::kHeadOnly;
  spec.dtype = DenseType::kF16;
  spec.shards = 3;
  all.push_back({"llama tied, head stored, f16, in shards", spec});
  spec = TinySpec();
  spec.llama3 = true;
  spec.qkv_bias = spec.output_bias = spec.mlp_bias = true;
  spec.kv_heads = 4;
  all.push_back({"llama with llama3 rope, all biases, no grouping", spec});
  spec = family("mistral", "MistralForCausalLM");
  spec.heads = 6;
  spec.kv_heads = 1;
  spec.head_dim = 8;
  all.push_back({"mistral, one KV head of 8", spec});
  spec = family("qwen2", "Qwen2ForCausalLM");
  spec.qkv_bias = true;
  spec.config_extra = ",\"sliding_window\":512,\"use_sliding_window\":false";
  all.push_back({"qwen2 with biases", spec});
  spec = family("qwen3", "Qwen3ForCausalLM");
  spec.qk_norm = true;
  spec.head_dim = 40;
  spec.heads = 3;
  spec.kv_heads = 1;
  all.push_back({"qwen3 with head norms and heads wider than hidden", spec});
  all.push_back({"awq g32", awq(32, true, DenseType::kF16)});
  all.push_back({"awq g64 without zeros, bf16 scales", awq(64, false, DenseType::kBf16)});
  all.push_back({"awq g128, f32 scales", awq(128, true, DenseType::kF32)});
  spec = awq(64, false, DenseType::kBf16);
  spec.compressed = true;
  all.push_back({"packed g64, symmetric", spec});
  spec = awq(32, true, DenseType::kF16);
  spec.compressed = true;
  all.push_back({"packed g32 with zero points", spec});
  spec = awq(0, false, DenseType::kBf16);
  spec.int8 = TinySpec::Int8::kStored;
  all.push_back({"int8", spec});
  spec.int8 = TinySpec::Int8::kPacked;
  all.push_back({"int8 packed", spec});
  return all;
}

}  // namespace sluice::check
