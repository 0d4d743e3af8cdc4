// UTF-8 as RFC 3629 has it: shortest forms only, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

// Bytes of the first character, or 0 where there is none that is valid.
size_t utf8_length(std::string_view text);

// `character` is no surrogate and at most U+10FFFF.
void append_utf8(uint32_t character, std::string* text);

}  // namespace sluice
