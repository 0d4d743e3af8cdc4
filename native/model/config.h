// What a model's config.json says, for the families that the engine runs. A key that would change
// what is computed and is not supported is refused by name; sizes are capped here, and checked
// against the tensors before anything is allocated.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/status.h"

namespace sluice {

inline constexpr uint64_t kConfigBytesMax = 1 << 20;

// Far above every published model of these families, far below what overflows.
inline constexpr uint32_t kHiddenMax = 1u << 16;
inline constexpr uint32_t kIntermediateMax = 1u << 18;
inline constexpr uint32_t kLayersMax = 512;
inline constexpr uint32_t kHeadsMax = 1024;
inline constexpr uint32_t kVocabMax = 1u << 20;
inline constexpr uint32_t kContextTokensMax = 1u << 22;

enum class Tying {
  kTied,      // config.json says that embedding and output head are one matrix
  kSeparate,  // ... that they are two
  kUnsaid,    // decided by which tensors there are
};

struct RopeConfig {
  double theta = 10000;
  // llama3 scaling of the frequencies by wavelength; off where factor is 1.
  double factor = 1;
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  double original_context_tokens = 8192;
};

// How quantised linears are stored; which linears are is seen from their tensors.
enum class QuantMethod {
  kNone,
  kAwqGemm,        // 4 bits in groups, as AutoAWQ writes them
  kPackQuantized,  // 4 bits in groups, as compressed-tensors packs them
  kInt8Channel,    // 8 bits with one scale an output, as compressed-tensors stores or packs them
};

struct QuantConfig {
  QuantMethod method = QuantMethod::kNone;
  uint32_t group_inputs = 0;  // 4 bits: inputs that share a scale; 0: all of them
};

struct ModelConfig {
  std::string family;  // model_type
  uint32_t vocab_size = 0;
  uint32_t hidden = 0;
  uint32_t intermediate = 0;
  uint32_t layers = 0;
  uint32_t heads = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;
  uint32_t context_tokens_max = 0;
  float norm_epsilon = 0;
  RopeConfig rope;
  bool has_qkv_bias = false;
  bool has_output_bias = false;
  bool has_mlp_bias = false;
  bool has_qk_norm = false;
  Tying tying = Tying::kUnsaid;
  QuantConfig quant;

  uint32_t group() const { return heads / kv_heads; }
};

// `context_tokens_max` is what the caller asks for; 0: the model's own. The message of a failed
// status begins with the key, and says what was found and what is supported.
Status parse_config(std::string_view text, uint32_t context_tokens_max, ModelConfig* config);

}  // namespace sluice
