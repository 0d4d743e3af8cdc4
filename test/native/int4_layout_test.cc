// The device's int4 layout, by the same lines that its kernels run: every weight has its own
// nibble, and what a lane unpacks is what its fragment must hold.
#include "kernels/cuda/int4_layout.cuh"

#include <bit>
#include <vector>

#include "check.h"
#include "kernels/dtype.h"

namespace sluice {
namespace {

TEST("int4 layout: every weight has a nibble, and every nibble of whole blocks a weight") {
  constexpr uint32_t kOutputs = 48;
  constexpr uint32_t kInputs = 256;
  std::vector<uint8_t> taken(size_t{kOutputs} * kInputs);
  for (uint32_t output = 0; output < kOutputs; ++output) {
    for (uint32_t input = 0; input < kInputs; ++input) {
      const Int4Position at = int4_position(output, input, kInputs);
      REQUIRE(at.nibble < 8);
      REQUIRE(at.word * 8 + at.nibble < taken.size());
      ++taken[at.word * 8 + at.nibble];
    }
  }
  for (const uint8_t count : taken) CHECK_EQ(count, 1);
}

TEST("int4 layout: position and weight are each other's reverse") {
  constexpr uint32_t kInputs = 576;  // padded to 640
  const uint64_t blocks = int4_padded_inputs(kInputs) / kInt4BlockInputs;
  CHECK_EQ(blocks, 10u);
  for (uint32_t output = 0; output < 32; ++output) {
    for (uint32_t input = 0; input < kInputs; ++input) {
      const Int4Position at = int4_position(output, input, kInputs);
      const auto step = static_cast<uint32_t>(at.word % kInt4LaneWords);
      const auto lane = static_cast<uint32_t>(at.word / kInt4LaneWords % kLanes);
      const uint64_t block = at.word / (kInt4LaneWords * kLanes);
      const Int4Weight weight = int4_weight(lane, step, at.nibble);
      CHECK_EQ(block / blocks * kInt4StripOutputs + weight.output, uint64_t{output});
      CHECK_EQ(block % blocks * kInt4BlockInputs + weight.input, uint64_t{input});
    }
  }
}

// PTX, m16n8k16: a0 (g, 2t..), a1 (g + 8, 2t..), a2 (g, 2t + 8..), a3 (g + 8, 2t + 8..), the lower
// half first.
TEST("int4 layout: four shifts of a word give the four registers of an A fragment") {
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t g = lane / 4;
    const uint32_t t = lane % 4;
    for (uint32_t step = 0; step < 4; ++step) {
      for (uint32_t i = 0; i < 4; ++i) {
        for (uint32_t half = 0; half < 2; ++half) {
          // (word >> 4 i) & 0x000F000F: bits 0..3 and 16..19 are nibbles i and i + 4.
          const Int4Weight weight = int4_weight(lane, step, i + 4 * half);
          CHECK_EQ(weight.output, g + (i % 2 == 1 ? 8 : 0));
          CHECK_EQ(weight.input, 16 * step + 2 * t + half + (i >= 2 ? 8u : 0u));
        }
      }
    }
  }
}

TEST("int4 layout: a scale of f16 or bf16 and its zero point come back exactly") {
  for (uint32_t bits = 0; bits < 0x7C00; bits += 7) {
    for (const float scale :
         {f16_to_f32(static_cast<uint16_t>(bits)), bf16_to_f32(static_cast<uint16_t>(bits))}) {
      for (const uint32_t zero : {0u, 8u, 15u}) {
        const uint32_t word = int4_scale_word(std::bit_cast<uint32_t>(scale), zero);
        CHECK_EQ(word & 15, zero);
        CHECK_EQ(std::bit_cast<float>(word & ~15u), scale);
      }
    }
  }
}

TEST("int4 layout: scales of outputs g and g + 8 stand side by side") {
  constexpr uint32_t kGroups = 5;
  CHECK_EQ(int4_scale_index(3, 2, kGroups) + 1, int4_scale_index(11, 2, kGroups));
  CHECK_EQ(int4_scale_index(16, 0, kGroups), uint64_t{16 * kGroups});
}

}  // namespace
}  // namespace sluice
