// How the model families differ. All are decoders with RMSNorm, rotary positions, grouped-query
// attention and a SiLU-gated MLP; a row of this table is all that sets one apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

enum class WindowRule {
  kNone,       // knows no sliding window
  kWhenGiven,  // sliding_window counts where it is given
  kWhenAsked,  // ... only where use_sliding_window is true
};

struct Family {
  std::string_view model_type;
  std::string_view architecture;
  bool always_qkv_bias;       // Qwen2
  bool may_attention_bias;    // reads attention_bias: a bias on q, k, v
  bool output_bias_as_qkv;    // ... and on o
  bool may_mlp_bias;          // reads mlp_bias
  bool has_qk_norm;           // Qwen3: RMSNorm of each head of q and k before rope
  uint32_t head_dim_default;  // 0: hidden_size / num_attention_heads
  WindowRule window;
};

// Null where the family is unknown.
const Family* find_family(std::string_view model_type);

// "llama, mistral, ...": for messages.
std::string known_families();

}  // namespace sluice
