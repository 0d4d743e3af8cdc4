// Packing, one strip at a time. Conversions are by single values: loading is bound by the disk and
// by memory, not by this.
#include "kernels/pack.h"

#include <cmath>
#include <cstring>

#include "kernels/dtype.h"

namespace sluice {
namespace {

struct F32 {
  using Stored = uint32_t;
  static constexpr WeightType kWeight = WeightType::kF32;
  static float widen(Stored bits) { return std::bit_cast<float>(bits); }
  static Stored narrow(float value) { return std::bit_cast<Stored>(value); }
};

struct Bf16 {
  using Stored = uint16_t;
  static constexpr WeightType kWeight = WeightType::kBf16;
  static float widen(Stored bits) { return bf16_to_f32(bits); }
  static Stored narrow(float value) { return f32_to_bf16(value); }
};

struct F16 {
  using Stored = uint16_t;
  static constexpr WeightType kWeight = WeightType::kF16;
  static float widen(Stored bits) { return f16_to_f32(bits); }
  static Stored narrow(float value) { return f32_to_f16(value); }
};

template <typename Stored>
Stored stored_at(const uint8_t* values, uint64_t index) {
  Stored value;
  std::memcpy(&value, values + index * sizeof(Stored), sizeof(Stored));
  return value;
}

template <typename From, typename To>
bool pack(const PackDenseArgs& args) {
  bool fits = true;
  auto* strip = reinterpret_cast<typename To::Stored*>(args.strip);
  for (uint32_t output = 0; output < kStripOutputs; ++output) {
    const uint32_t slot = weight_slot(To::kWeight, output);
    const bool is_there = output < args.rows_count;
    const uint8_t* row = args.rows + uint64_t{output} * args.inputs * sizeof(typename From::Stored);
    for (uint32_t k = 0; k < args.inputs; ++k) {
      typename To::Stored packed = 0;
      if (is_there) {
        const auto value = stored_at<typename From::Stored>(row, k);
        if constexpr (std::is_same_v<From, To>) {
          packed = value;
        } else {
          const float wide = From::widen(value);
          packed = To::narrow(wide);
          if (std::isfinite(wide) && !std::isfinite(To::widen(packed))) fits = false;
        }
      }
      strip[uint64_t{k} * kStripOutputs + slot] = packed;
    }
  }
  return fits;
}

template <typename From>
bool pack_from(const PackDenseArgs& args) {
  switch (args.to) {
    case DenseType::kF32:
      return pack<From, F32>(args);
    case DenseType::kBf16:
      return pack<From, Bf16>(args);
    case DenseType::kF16:
      return pack<From, F16>(args);
  }
  return false;
}

template <typename From>
void widen(const uint8_t* values, uint64_t count, float* out) {
  for (uint64_t i = 0; i < count; ++i) {
    out[i] = From::widen(stored_at<typename From::Stored>(values, i));
  }
}

// Reads single values of either packing.
struct Int4Reader {
  const StoredInt4& stored;

  bool is_awq() const { return stored.packing == Int4Packing::kAwqGemm; }

  static uint32_t awq_nibble(const uint32_t* words, uint64_t word, uint32_t output) {
    const uint32_t column = output & 7;
    const uint32_t nibble = column >> 1 | (column & 1) << 2;
    return words[word] >> (4 * nibble) & 15;
  }

  uint32_t weight(uint32_t input, uint32_t output) const {
    if (is_awq()) {
      const uint64_t row_words = stored.outputs / 8;
      return awq_nibble(stored.weights, input * row_words + output / 8, output);
    }
    const uint64_t row_words = stored.inputs / 8;
    return stored.weights[output * row_words + input / 8] >> (4 * (input & 7)) & 15;
  }

  uint32_t zero(uint32_t group, uint32_t output) const {
    if (stored.zeros == nullptr) return 8;
    if (is_awq()) {
      const uint64_t row_words = stored.outputs / 8;
      return awq_nibble(stored.zeros, group * row_words + output / 8, output);
    }
    const uint64_t row = output / 8;
    return stored.zeros[row * stored.groups + group] >> (4 * (output & 7)) & 15;
  }

  float scale(uint32_t group, uint32_t output) const {
    const uint64_t at = is_awq() ? uint64_t{group} * stored.outputs + output
                                 : uint64_t{output} * stored.groups + group;
    float value = 0;
    widen_dense(stored.scale_type, stored.scales + at * dense_bytes(stored.scale_type), 1, &value);
    return value;
  }
};

}  // namespace

bool pack_dense_strip(const PackDenseArgs& args) {
  switch (args.from) {
    case DenseType::kF32:
      return pack_from<F32>(args);
    case DenseType::kBf16:
      return pack_from<Bf16>(args);
    case DenseType::kF16:
      return pack_from<F16>(args);
  }
  return false;
}

void widen_dense(DenseType from, const uint8_t* values, uint64_t count, float* out) {
  switch (from) {
    case DenseType::kF32:
      return widen<F32>(values, count, out);
    case DenseType::kBf16:
      return widen<Bf16>(values, count, out);
    case DenseType::kF16:
      return widen<F16>(values, count, out);
  }
}

void pack_int4_strip(const StoredInt4& stored, const Int4Strip& strip) {
  constexpr uint32_t kWords = kStripOutputs / 2;
  const Int4Reader reader{stored};
  const uint32_t first = strip.index * kStripOutputs;
  std::memset(strip.words, 0, size_t{stored.inputs} * kStripOutputs / 2);
  std::memset(strip.scales, 0, size_t{stored.groups} * kStripOutputs * sizeof(float));
  std::memset(strip.zeros, 0, size_t{stored.groups} * kStripOutputs);
  for (uint32_t lane = 0; lane < kStripOutputs && first + lane < stored.outputs; ++lane) {
    const uint32_t output = first + lane;
    for (uint32_t k = 0; k < stored.inputs; ++k) {
      const uint32_t nibble = k % kInt4Inputs * 2 + lane / 8;
      strip.words[k / kInt4Inputs * kWords + lane % 8] |= reader.weight(k, output) << (4 * nibble);
    }
    for (uint32_t group = 0; group < stored.groups; ++group) {
      const uint32_t at = group * kStripOutputs + lane;
      strip.scales[at] = reader.scale(group, output);
      strip.zeros[at] = static_cast<uint8_t>(reader.zero(group, output));
    }
  }
}

void widen_int8(const WidenInt8Args& args) {
  for (uint32_t row = 0; row < args.rows_count; ++row) {
    const uint64_t at = uint64_t{row} * args.inputs;
    for (uint32_t k = 0; k < args.inputs; ++k) {
      const auto value = static_cast<int8_t>(args.rows[at + k] - args.offset);
      args.out[at + k] = static_cast<float>(value) * args.scales[row];
    }
  }
}

}  // namespace sluice
