// config.json of each family: what is read from it, and that what would compute something else is
// refused by name with what was found and what is supported.
#include "model/config.h"

#include <map>
#include <string>

#include "check.h"

namespace sluice {
namespace {

using Members = std::map<std::string, std::string>;  // key to JSON

Members llama() {
  return {{"model_type", "\"llama\""},
          {"architectures", "[\"LlamaForCausalLM\"]"},
          {"hidden_act", "\"silu\""},
          {"vocab_size", "1000"},
          {"hidden_size", "256"},
          {"intermediate_size", "512"},
          {"num_hidden_layers", "2"},
          {"num_attention_heads", "8"},
          {"num_key_value_heads", "4"},
          {"max_position_embeddings", "2048"},
          {"rms_norm_eps", "1e-05"},
          {"tie_word_embeddings", "false"}};
}

Members of_family(const std::string& type, const std::string& architecture) {
  Members members = llama();
  members["model_type"] = "\"" + type + "\"";
  members["architectures"] = "[\"" + architecture + "\"]";
  return members;
}

Status parse(const Members& members, ModelConfig* config, uint32_t context = 0) {
  std::string text = "{";
  for (const auto& [key, value] : members) {
    if (value.empty()) continue;  // left out
    text += (text.size() > 1 ? ",\"" : "\"") + key + "\":" + value;
  }
  return parse_config(text + "}", context, config);
}

// Refused, and the message names the key.
bool refuses(Members members, const std::string& key, const std::string& value) {
  members[key] = value;
  ModelConfig config;
  const Status status = parse(members, &config);
  return !status.is_ok() && status.message().find(key) != std::string::npos;
}

TEST("a llama config is read") {
  ModelConfig config;
  REQUIRE(parse(llama(), &config).is_ok());
  CHECK_EQ(config.head_dim, 32u);
  CHECK_EQ(config.group(), 2u);
  CHECK_EQ(config.rope.theta, 10000.0);
  CHECK_EQ(config.rope.factor, 1.0);
  CHECK(config.tying == Tying::kSeparate);
  CHECK(!config.has_qkv_bias && !config.has_mlp_bias && !config.has_qk_norm);
  CHECK(config.quant.method == QuantMethod::kNone);
  Members members = llama();
  members["attention_bias"] = "true";
  members["mlp_bias"] = "true";
  members["num_key_value_heads"] = "";
  members["tie_word_embeddings"] = "";
  REQUIRE(parse(members, &config).is_ok());
  CHECK(config.has_qkv_bias && config.has_output_bias && config.has_mlp_bias);
  CHECK_EQ(config.kv_heads, 8u);
  CHECK(config.tying == Tying::kUnsaid);
}

TEST("families differ as their table says") {
  ModelConfig config;
  REQUIRE(parse(of_family("qwen2", "Qwen2ForCausalLM"), &config).is_ok());
  CHECK(config.has_qkv_bias && !config.has_output_bias && !config.has_qk_norm);
  REQUIRE(parse(of_family("qwen3", "Qwen3ForCausalLM"), &config).is_ok());
  CHECK(!config.has_qkv_bias && config.has_qk_norm);
  CHECK_EQ(config.head_dim, 128u);
  REQUIRE(parse(of_family("mistral", "MistralForCausalLM"), &config).is_ok());
  CHECK(!config.has_qkv_bias);
}

TEST("rope is read in both spellings") {
  Members members = llama();
  ModelConfig config;
  const std::string llama3 =
      "\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
      "\"original_max_position_embeddings\":8192}";
  members["rope_theta"] = "500000.0";
  members["rope_scaling"] = "{\"rope_type\":\"llama3\"," + llama3;
  REQUIRE(parse(members, &config).is_ok());
  CHECK_EQ(config.rope.theta, 500000.0);
  CHECK_EQ(config.rope.factor, 8.0);
  members["rope_scaling"] = "{\"type\":\"llama3\"," + llama3;
  CHECK(parse(members, &config).is_ok());
  members["rope_scaling"] = "null";
  members["rope_theta"] = "";
  members["rope_parameters"] = "{\"rope_type\":\"llama3\",\"rope_theta\":1e6," + llama3;
  REQUIRE(parse(members, &config).is_ok());
  CHECK_EQ(config.rope.theta, 1e6);
  CHECK_EQ(config.rope.original_context_tokens, 8192.0);
  members["rope_parameters"] = "{\"rope_type\":\"default\",\"rope_theta\":1e6}";
  REQUIRE(parse(members, &config).is_ok());
  CHECK_EQ(config.rope.factor, 1.0);
}

TEST("other rope types and broken numbers are refused") {
  for (const char* type : {"yarn", "linear", "dynamic", "longrope", ""}) {
    const std::string scaling = "{\"rope_type\":\"" + std::string(type) + "\",\"factor\":2.0}";
    CHECK(refuses(llama(), "rope_scaling", scaling));
    CHECK(refuses(llama(), "rope_parameters", scaling));
  }
  CHECK(refuses(llama(), "rope_scaling", "{\"factor\":2.0}"));
  CHECK(refuses(llama(), "rope_scaling", "[]"));
  ModelConfig config;
  Members members = llama();
  members["rope_scaling"] = "{\"rope_type\":\"llama3\",\"factor\":2.0}";
  CHECK(!parse(members, &config).is_ok());
  CHECK(refuses(llama(), "rope_theta", "0"));
  CHECK(refuses(llama(), "rope_theta", "-1"));
  CHECK(refuses(llama(), "rope_theta", "\"1\""));
  CHECK(refuses(llama(), "partial_rotary_factor", "0.5"));
  CHECK(refuses(llama(), "rms_norm_eps", "0"));
}

TEST("what is not supported is refused by name") {
  CHECK(refuses(llama(), "model_type", "\"gemma2\""));
  CHECK(refuses(llama(), "model_type", "\"qwen3_moe\""));
  CHECK(refuses(llama(), "model_type", ""));
  CHECK(refuses(llama(), "architectures", "[\"LlamaForSequenceClassification\"]"));
  CHECK(refuses(llama(), "hidden_act", "\"gelu\""));
  CHECK(refuses(llama(), "num_local_experts", "8"));
  ModelConfig config;
  Members members = llama();
  members["model_type"] = "\"gpt2\"";
  const Status status = parse(members, &config);
  CHECK_EQ(status.message(), "model_type: found \"gpt2\"; supported: llama, mistral, qwen2, qwen3");
}

TEST("sizes that are absurd are refused") {
  for (const char* key : {"vocab_size",
                          "hidden_size",
                          "intermediate_size",
                          "num_hidden_layers",
                          "num_attention_heads",
                          "num_key_value_heads",
                          "max_position_embeddings"}) {
    for (const char* value :
         {"0", "-1", "1.5", "1e3", "4294967296", "99999999999999999999", "\"8\"", "true", "[]"}) {
      CHECK(refuses(llama(), key, value));
    }
  }
  CHECK(refuses(llama(), "hidden_size", ""));
  CHECK(refuses(llama(), "num_key_value_heads", "3"));
  CHECK(refuses(llama(), "num_key_value_heads", "16"));
  CHECK(refuses(llama(), "head_dim", "12"));
  CHECK(refuses(llama(), "head_dim", "264"));
  CHECK(refuses(llama(), "head_dim", "0"));
}

TEST("a sliding window shorter than the context is refused where it is in force") {
  const Members mistral = of_family("mistral", "MistralForCausalLM");
  CHECK(refuses(mistral, "sliding_window", "1024"));
  ModelConfig config;
  Members members = mistral;
  members["sliding_window"] = "2048";
  CHECK(parse(members, &config).is_ok());
  members["sliding_window"] = "null";
  CHECK(parse(members, &config).is_ok());
  members["sliding_window"] = "1024";
  CHECK(parse(members, &config, 1024).is_ok());
  CHECK_EQ(config.context_tokens_max, 1024u);
  members = of_family("qwen2", "Qwen2ForCausalLM");
  members["sliding_window"] = "1024";
  members["use_sliding_window"] = "false";
  CHECK(parse(members, &config).is_ok());
  CHECK(refuses(members, "use_sliding_window", "\"no\""));
  members["use_sliding_window"] = "true";
  CHECK(!parse(members, &config).is_ok());
}

TEST("AWQ is read, and other quantisations are refused") {
  const auto quantized = [](const std::string& members) { return "{" + members + "}"; };
  const std::string base = "\"quant_method\":\"awq\",\"bits\":4";
  ModelConfig config;
  Members members = llama();
  members["quantization_config"] = quantized(base + ",\"group_size\":128,\"version\":\"GEMM\"");
  REQUIRE(parse(members, &config).is_ok());
  CHECK(config.quant.method == QuantMethod::kAwqGemm);
  CHECK_EQ(config.quant.group_inputs, 128u);
  members["quantization_config"] = quantized(base + ",\"group_size\":-1");
  REQUIRE(parse(members, &config).is_ok());
  CHECK_EQ(config.quant.group_inputs, 0u);
  const auto compressed = [&](const std::string& weights, const std::string& more = "") {
    return quantized("\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"group_0\":{" +
                     more + "\"weights\":{" + weights + "}}}");
  };
  const std::string grouped = "\"num_bits\":4,\"strategy\":\"group\",\"group_size\":64";
  members["quantization_config"] = compressed(grouped);
  REQUIRE(parse(members, &config).is_ok());
  CHECK(config.quant.method == QuantMethod::kPackQuantized);
  CHECK_EQ(config.quant.group_inputs, 64u);
  members["quantization_config"] = compressed("\"num_bits\":8,\"strategy\":\"channel\"");
  REQUIRE(parse(members, &config).is_ok());
  CHECK(config.quant.method == QuantMethod::kInt8Channel);
  for (const std::string& value :
       {compressed("\"num_bits\":8,\"strategy\":\"group\",\"group_size\":64"),
        compressed("\"num_bits\":4,\"strategy\":\"tensor\""),
        compressed(grouped + ",\"actorder\":\"group\""),
        compressed(grouped + ",\"type\":\"float\""),
        compressed(grouped, "\"input_activations\":{\"num_bits\":8},"),
        quantized("\"quant_method\":\"compressed-tensors\"")}) {
    CHECK(refuses(llama(), "quantization_config", value));
  }
  const char* const bad[] = {"\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128",
                             "\"quant_method\":\"awq\",\"bits\":8,\"group_size\":128",
                             "\"quant_method\":\"awq\",\"bits\":4,\"group_size\":48",
                             "\"quant_method\":\"awq\",\"bits\":4",
                             "\"quant_method\":\"awq\",\"bits\":4,\"group_size\":64,"
                             "\"version\":\"gemv\""};
  for (const char* value : bad) CHECK(refuses(llama(), "quantization_config", quantized(value)));
  CHECK(refuses(llama(), "quantization_config", "true"));
}

TEST("text that is no object is refused") {
  ModelConfig config;
  for (const char* text : {"", "[]", "null", "{\"model_type\":", "\xFF"}) {
    CHECK(!parse_config(text, 0, &config).is_ok());
  }
}

}  // namespace
}  // namespace sluice
