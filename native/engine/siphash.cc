// Aumasson and Bernstein's SipHash-2-4 in its 128-bit form; the test has its published vectors.
#include "engine/siphash.h"

#include <bit>

namespace sluice {
namespace {

struct State {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }

  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }

  uint64_t squeeze() {
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

}  // namespace

SipDigest siphash128(SipKey key, std::span<const uint64_t> words, uint64_t bytes) {
  State state{key.low ^ 0x736f6d6570736575ULL,
              key.high ^ 0x646f72616e646f6dULL ^ 0xee,
              key.low ^ 0x6c7967656e657261ULL,
              key.high ^ 0x7465646279746573ULL};
  for (const uint64_t word : words) state.absorb(word);
  state.absorb(bytes << 56);
  state.v2 ^= 0xee;
  SipDigest digest;
  digest.low = state.squeeze();
  state.v1 ^= 0xdd;
  digest.high = state.squeeze();
  return digest;
}

}  // namespace sluice
