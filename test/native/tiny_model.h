// Tiny random models of each family, written as Hugging Face folders, with the meaning of every
// stored tensor in float64 beside them for the reference forward.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "packed_matrix.h"
#include "random.h"
#include "temporary_folder.h"

namespace sluice::check {

enum class HeadStorage { kBoth, kEmbeddingOnly, kHeadOnly };

struct TinySpec {
  std::string type = "llama";
  std::string architecture = "LlamaForCausalLM";
  uint32_t vocab = 97;
  uint32_t hidden = 64;
  uint32_t intermediate = 88;
  uint32_t layers = 2;
  uint32_t heads = 4;
  uint32_t kv_heads = 2;
  uint32_t head_dim = 16;
  HeadStorage head = HeadStorage::kBoth;
  bool qkv_bias = false;
  bool output_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;
  bool llama3 = false;
  DenseType dtype = DenseType::kF32;
  DenseType scale_dtype = DenseType::kF16;
  uint32_t awq_group = 0;   // 0: dense
  bool compressed = false;  // those groups as compressed-tensors packs them
  enum class Int8 { kNone, kStored, kPacked } int8 = Int8::kNone;
  bool has_zeros = true;
  uint32_t shards = 1;
  std::string config_extra;  // more members, each with a comma before it
};

struct StoredTensor {
  std::string dtype;
  std::vector<uint32_t> shape;
  std::string bytes;
};

struct TinyModel {
  TinySpec spec;
  std::map<std::string, StoredTensor> stored;
  std::map<std::string, std::vector<double>>
      values;  // by module: "P.weight" also where stored as AWQ
};

inline const char* dtype_name(DenseType type) {
  if (type == DenseType::kF32) return "F32";
  return type == DenseType::kBf16 ? "BF16" : "F16";
}

class TinyBuilder {
 public:
  TinyBuilder(const TinySpec& spec, uint64_t seed) : random_(seed) { model_.spec = spec; }

  TinyModel build() {
    const TinySpec& s = model_.spec;
    if (s.head != HeadStorage::kHeadOnly)
      dense("model.embed_tokens.weight", {s.vocab, s.hidden}, 1);
    if (s.head != HeadStorage::kEmbeddingOnly) dense("lm_head.weight", {s.vocab, s.hidden}, 0.3f);
    norm("model.norm.weight", s.hidden);
    for (uint32_t i = 0; i < s.layers; ++i) layer("model.layers." + std::to_string(i) + ".");
    return std::move(model_);
  }

 private:
  void store(const std::string& name,
             DenseType type,
             const std::vector<uint32_t>& shape,
             const std::vector<float>& values) {
    const std::vector<uint8_t> bytes = stored_rows(type, values);
    std::vector<float> widened(values.size());
    widen_dense(type, bytes.data(), values.size(), widened.data());
    model_.stored[name] = {dtype_name(type), shape, {bytes.begin(), bytes.end()}};
    model_.values[name].assign(widened.begin(), widened.end());
  }

  void dense(const std::string& name, const std::vector<uint32_t>& shape, float scale) {
    size_t count = 1;
    for (const uint32_t size : shape) count *= size;
    store(name, model_.spec.dtype, shape, random_.normals(count, scale));
  }

  void norm(const std::string& name, uint32_t size) {
    std::vector<float> values = random_.normals(size, 0.2f);
    for (float& value : values) value += 1;
    store(name, model_.spec.dtype, {size}, values);
  }

  void words(const std::string& name,
             uint32_t rows,
             uint32_t row_words,
             std::vector<uint32_t>* out) {
    out->resize(size_t{rows} * row_words);
    for (uint32_t& word : *out) word = random_.below(0xFFFFFFFF);
    std::string bytes(out->size() * 4, '\0');
    std::memcpy(bytes.data(), out->data(), bytes.size());
    model_.stored[name] = {"I32", {rows, row_words}, bytes};
  }

  // Random words as AutoAWQ lays them out, and what they mean.
  void awq(const std::string& module, uint32_t outputs, uint32_t inputs) {
    constexpr uint32_t kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
    const uint32_t group = model_.spec.awq_group;
    const uint32_t groups = inputs / group;
    std::vector<uint32_t> qweight;
    std::vector<uint32_t> qzeros;
    words(module + ".qweight", inputs, outputs / 8, &qweight);
    if (model_.spec.has_zeros) words(module + ".qzeros", groups, outputs / 8, &qzeros);
    const float scale = 0.2f / std::sqrt(static_cast<float>(inputs));
    const std::vector<float> scales = random_.normals(size_t{groups} * outputs, scale);
    store(module + ".scales", model_.spec.scale_dtype, {groups, outputs}, scales);
    const std::vector<double>& meant = model_.values[module + ".scales"];
    std::vector<double>& weight = model_.values[module + ".weight"];
    weight.resize(size_t{outputs} * inputs);
    for (uint32_t n = 0; n < outputs; ++n) {
      uint32_t nibble = 0;
      while (kOrder[nibble] != n % 8) ++nibble;
      for (uint32_t k = 0; k < inputs; ++k) {
        const uint32_t g = k / group;
        const auto at = [&](const std::vector<uint32_t>& from, uint32_t row) {
          return static_cast<double>(from[size_t{row} * (outputs / 8) + n / 8] >> (4 * nibble) &
                                     15);
        };
        const double zero = model_.spec.has_zeros ? at(qzeros, g) : 8;
        weight[size_t{n} * inputs + k] = (at(qweight, k) - zero) * meant[size_t{g} * outputs + n];
      }
    }
  }

  // Random words along the inputs, as compressed-tensors packs 4-bit values, and what they mean.
  void packed(const std::string& module, uint32_t outputs, uint32_t inputs) {
    const uint32_t group = model_.spec.awq_group;
    const uint32_t groups = inputs / group;
    std::vector<uint32_t> weights;
    std::vector<uint32_t> zeros;
    words(module + ".weight_packed", outputs, inputs / 8, &weights);
    if (model_.spec.has_zeros) words(module + ".weight_zero_point", outputs / 8, groups, &zeros);
    shape_tensor(module, outputs, inputs);
    const float scale = 0.2f / std::sqrt(static_cast<float>(inputs));
    const std::vector<float> scales = random_.normals(size_t{groups} * outputs, scale);
    store(module + ".weight_scale", model_.spec.scale_dtype, {outputs, groups}, scales);
    const std::vector<double>& meant = model_.values[module + ".weight_scale"];
    std::vector<double>& weight = model_.values[module + ".weight"];
    weight.resize(size_t{outputs} * inputs);
    for (uint32_t n = 0; n < outputs; ++n) {
      for (uint32_t k = 0; k < inputs; ++k) {
        const uint32_t g = k / group;
        const uint32_t value = weights[size_t{n} * (inputs / 8) + k / 8] >> (4 * (k % 8)) & 15;
        uint32_t zero = 8;
        if (!zeros.empty()) zero = zeros[size_t{n / 8} * groups + g] >> (4 * (n % 8)) & 15;
        weight[size_t{n} * inputs + k] = (static_cast<double>(value) - static_cast<double>(zero)) *
                                         meant[size_t{n} * groups + g];
      }
    }
  }

  // Random bytes with one scale an output, as int8 or packed into words with 128 added.
  void int8(const std::string& module, uint32_t outputs, uint32_t inputs) {
    const bool is_packed = model_.spec.int8 == TinySpec::Int8::kPacked;
    std::string bytes(size_t{outputs} * inputs, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_.below(255) + 1);
    const float scale = 0.008f / std::sqrt(static_cast<float>(inputs));
    store(module + ".weight_scale",
          model_.spec.scale_dtype,
          {outputs, 1},
          random_.normals(outputs, scale));
    const std::vector<double>& meant = model_.values[module + ".weight_scale"];
    std::vector<double>& weight = model_.values[module + ".weight"];
    weight.resize(bytes.size());
    for (size_t i = 0; i < bytes.size(); ++i) {
      const auto raw = static_cast<uint8_t>(bytes[i]);
      const int value = is_packed ? raw - 128 : static_cast<int8_t>(raw);
      weight[i] = value * meant[i / inputs];
    }
    if (!is_packed) {
      model_.stored[module + ".weight"] = {"I8", {outputs, inputs}, bytes};
      return;
    }
    model_.stored[module + ".weight_packed"] = {"I32", {outputs, inputs / 4}, bytes};
    shape_tensor(module, outputs, inputs);
  }

  void shape_tensor(const std::string& module, uint32_t outputs, uint32_t inputs) {
    const int64_t shape[] = {outputs, inputs};
    model_.stored[module + ".weight_shape"] = {
        "I64", {2}, std::string(reinterpret_cast<const char*>(shape), sizeof(shape))};
  }

  void linear(const std::string& module, uint32_t outputs, uint32_t inputs, bool has_bias) {
    const float scale = 1 / std::sqrt(static_cast<float>(inputs));
    if (model_.spec.int8 != TinySpec::Int8::kNone) {
      int8(module, outputs, inputs);
    } else if (model_.spec.compressed) {
      packed(module, outputs, inputs);
    } else if (model_.spec.awq_group > 0) {
      awq(module, outputs, inputs);
    } else {
      dense(module + ".weight", {outputs, inputs}, scale);
    }
    if (has_bias) dense(module + ".bias", {outputs}, 0.5f);
  }

  void layer(const std::string& prefix) {
    const TinySpec& s = model_.spec;
    const uint32_t q = s.heads * s.head_dim;
    const uint32_t kv = s.kv_heads * s.head_dim;
    norm(prefix + "input_layernorm.weight", s.hidden);
    norm(prefix + "post_attention_layernorm.weight", s.hidden);
    if (s.qk_norm) norm(prefix + "self_attn.q_norm.weight", s.head_dim);
    if (s.qk_norm) norm(prefix + "self_attn.k_norm.weight", s.head_dim);
    linear(prefix + "self_attn.q_proj", q, s.hidden, s.qkv_bias);
    linear(prefix + "self_attn.k_proj", kv, s.hidden, s.qkv_bias);
    linear(prefix + "self_attn.v_proj", kv, s.hidden, s.qkv_bias);
    linear(prefix + "self_attn.o_proj", s.hidden, q, s.output_bias);
    linear(prefix + "mlp.gate_proj", s.intermediate, s.hidden, s.mlp_bias);
    linear(prefix + "mlp.up_proj", s.intermediate, s.hidden, s.mlp_bias);
    linear(prefix + "mlp.down_proj", s.hidden, s.intermediate, s.mlp_bias);
  }

  RandomSource random_;
  TinyModel model_;
};

inline std::string safetensors_bytes(const std::map<std::string, StoredTensor>& tensors) {
  std::string header;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    std::string shape;
    for (const uint32_t size : tensor.shape) {
      shape += (shape.empty() ? "" : ",") + std::to_string(size);
    }
    const size_t begin = data.size();
    data += tensor.bytes;
    header += (header.empty() ? "{\"" : ",\"") + name + "\":{\"dtype\":\"" + tensor.dtype +
              "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(begin) + "," +
              std::to_string(data.size()) + "]}";
  }
  header += "}";
  std::string length;
  for (int i = 0; i < 8; ++i) length.push_back(static_cast<char>(header.size() >> (8 * i)));
  return length + header + data;
}

inline std::string config_json(const TinySpec& s) {
  const auto number = [](const char* key, uint32_t value) {
    return ",\"" + std::string(key) + "\":" + std::to_string(value);
  };
  std::string text = "{\"model_type\":\"" + s.type + "\",\"architectures\":[\"" + s.architecture +
                     "\"],\"hidden_act\":\"silu\",\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0";
  text += number("vocab_size", s.vocab) + number("hidden_size", s.hidden) +
          number("intermediate_size", s.intermediate) + number("num_hidden_layers", s.layers) +
          number("num_attention_heads", s.heads) + number("num_key_value_heads", s.kv_heads) +
          number("head_dim", s.head_dim) + number("max_position_embeddings", 2048);
  if (s.head != HeadStorage::kBoth) text += ",\"tie_word_embeddings\":true";
  if (s.qkv_bias && s.type != "qwen2") text += ",\"attention_bias\":true";
  if (s.mlp_bias) text += ",\"mlp_bias\":true";
  if (s.llama3) {
    text +=
        ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
        "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}";
  }
  const bool is_int8 = s.int8 != TinySpec::Int8::kNone;
  if (s.compressed || is_int8) {
    const std::string weights =
        is_int8 ? "\"num_bits\":8,\"strategy\":\"channel\""
                : "\"num_bits\":4,\"strategy\":\"group\"" + number("group_size", s.awq_group);
    text +=
        ",\"quantization_config\":{\"quant_method\":\"compressed-tensors\","
        "\"config_groups\":{\"group_0\":{\"weights\":{\"type\":\"int\"," +
        weights + "}}}}";
  } else if (s.awq_group > 0) {
    text += ",\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4,\"version\":\"gemm\"" +
            number("group_size", s.awq_group) + "}";
  }
  return text + s.config_extra + "}";
}

inline void write_folder(const TinyModel& model, const TemporaryFolder& folder) {
  folder.write("config.json", config_json(model.spec));
  const uint32_t shards = model.spec.shards;
  if (shards == 1) return folder.write("model.safetensors", safetensors_bytes(model.stored));
  std::vector<std::map<std::string, StoredTensor>> parts(shards);
  std::string index;
  uint32_t next = 0;
  for (const auto& [name, tensor] : model.stored) {
    const std::string file = "model-" + std::to_string(next) + ".safetensors";
    index += (index.empty() ? "\"" : ",\"") + name + "\":\"" + file + "\"";
    parts[next][name] = tensor;
    next = (next + 1) % shards;
  }
  for (uint32_t i = 0; i < shards; ++i) {
    folder.write("model-" + std::to_string(i) + ".safetensors", safetensors_bytes(parts[i]));
  }
  folder.write("model.safetensors.index.json", "{\"weight_map\":{" + index + "}}");
}

}  // namespace sluice::check
