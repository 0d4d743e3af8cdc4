// SipHash-2-4 with 128 bits of output, over whole 64-bit words. A keyed hash: its outputs cannot be
// steered by who does not know the key.
#pragma once

#include <cstdint>
#include <span>

namespace sluice {

struct SipKey {
  uint64_t low = 0;
  uint64_t high = 0;
};

struct SipDigest {
  uint64_t low = 0;
  uint64_t high = 0;
};

// `bytes` is the length that is hashed in, for callers whose last word is padded.
SipDigest siphash128(SipKey key, std::span<const uint64_t> words, uint64_t bytes);

}  // namespace sluice
