// The unit of KV memory, on which the engine's block tables and attention agree.
#pragma once

#include <cstdint>

namespace sluice {

// Tokens of one KV block. PagedAttention's unit; the prefix cache shares whole blocks only.
inline constexpr uint32_t kBlockTokens = 16;

}  // namespace sluice
