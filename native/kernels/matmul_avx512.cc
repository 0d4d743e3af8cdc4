// The AVX-512 form of matmul: a strip's 16 sums are one vector, and a tile is up to 12 rows by two
// strips, so that a weight is widened once for 12 multiply-adds. The sums are the same chains as in
// every other form, hence the same bits; bf16 products of two inputs at once (VDPBF16PS) would
// round x first and are not used.
#include "kernels/matmul.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/matmul_panel.h"

namespace sluice {
namespace {

constexpr uint32_t kTileRows = 12;

// How far ahead of its use a weight is asked for: about what arrives in the time that a miss takes.
constexpr uint32_t kAheadBytes = 1024;

// All lanes. GCC 12 takes the forms without a mask for reads of what was never written.
constexpr __mmask16 kAll = 0xFFFF;

// Each kind of weights is read in steps of some inputs, whose bytes are one load: `fetch` loads a
// step's, `widen` takes input `i` out of it. What a kind needs beside the weights is its Extra.
struct NoExtra {
  explicit NoExtra(const uint8_t*) {}
};

struct WeightsF32 {
  static constexpr uint32_t kStepInputs = 1;
  static constexpr uint32_t kStepBytes = kStripOutputs * 4;
  using Bits = __m512;
  using Extra = NoExtra;
  static Bits fetch(const uint8_t* at) { return _mm512_loadu_ps(at); }
  static Bits fetch_last(const uint8_t* at) { return fetch(at); }
  template <uint32_t>
  static __m512 widen(Bits bits, const Extra&) {
    return bits;
  }
};

struct WeightsF16 {
  static constexpr uint32_t kStepInputs = 1;
  static constexpr uint32_t kStepBytes = kStripOutputs * 2;
  using Bits = __m256i;
  using Extra = NoExtra;
  static Bits fetch(const uint8_t* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  }
  static Bits fetch_last(const uint8_t* at) { return fetch(at); }
  template <uint32_t>
  static __m512 widen(Bits bits, const Extra&) {
    return _mm512_maskz_cvtph_ps(kAll, bits);
  }
};

struct WeightsBf16 {
  static constexpr uint32_t kStepInputs = 2;
  static constexpr uint32_t kStepBytes = kStepInputs * kStripOutputs * 2;
  using Bits = __m512i;
  // Where each output's bf16 of either input goes: the upper half of its 32 bits.
  struct Extra {
    explicit Extra(const uint8_t*) {
      alignas(64) uint16_t from[2][32] = {};
      for (uint32_t output = 0; output < kStripOutputs; ++output) {
        const auto slot = static_cast<uint16_t>(output % 8 * 2 + output / 8);
        from[0][2 * output + 1] = slot;
        from[1][2 * output + 1] = static_cast<uint16_t>(kStripOutputs + slot);
      }
      order[0] = _mm512_load_si512(from[0]);
      order[1] = _mm512_load_si512(from[1]);
    }
    __m512i order[2];
  };
  static Bits fetch(const uint8_t* at) { return _mm512_loadu_si512(at); }
  static Bits fetch_last(const uint8_t* at) {
    return _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
  }
  template <uint32_t kInput>
  static __m512 widen(Bits bits, const Extra& extra) {
    constexpr __mmask32 kUpper = 0xAAAAAAAA;
    return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(kUpper, extra.order[kInput], bits));
  }
};

struct WeightsInt4 {
  static constexpr uint32_t kStepInputs = kInt4Inputs;
  static constexpr uint32_t kStepBytes = kStepInputs * kStripOutputs / 2;
  using Bits = __m512i;
  // `zeros`: the strip's 16 zero points in the group.
  struct Extra {
    explicit Extra(const uint8_t* zeros)
        : zero(_mm512_maskz_cvtepi32_ps(
              kAll,
              _mm512_maskz_cvtepu8_epi32(
                  kAll, _mm_loadu_si128(reinterpret_cast<const __m128i*>(zeros))))) {}
    __m512 zero;
  };
  static Bits fetch(const uint8_t* at) {
    return _mm512_maskz_broadcast_i64x4(0xFF,
                                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
  }
  static Bits fetch_last(const uint8_t* at) { return fetch(at); }
  // The table is looked up by the low four bits of each index, so nothing need be masked off.
  template <uint32_t kInput>
  static __m512 widen(Bits bits, const Extra& extra) {
    const __m512 table = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const int low = kInput * 8;
    const int high = low + 4;
    const __m512i shifts = _mm512_setr_epi32(
        low, low, low, low, low, low, low, low, high, high, high, high, high, high, high, high);
    const __m512i q = _mm512_maskz_srlv_epi32(kAll, bits, shifts);
    return _mm512_sub_ps(_mm512_maskz_permutexvar_ps(kAll, q, table), extra.zero);
  }
};

template <int kRows, int kStrips>
struct Sums {
  __m512 of[kRows][kStrips];
  const float* x[kRows];
};

// The loops over rows and strips are unrolled whole: only so do the sums stay in registers.
template <typename Weights, uint32_t kInput, int kRows, int kStrips>
[[gnu::always_inline]] inline void add_input(const typename Weights::Bits* bits,
                                             const typename Weights::Extra* extras,
                                             uint32_t k,
                                             Sums<kRows, kStrips>* sums) {
  __m512 weights[kStrips];
#pragma GCC unroll 4
  for (int s = 0; s < kStrips; ++s) {
    weights[s] = Weights::template widen<kInput>(bits[s], extras[s]);
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    const __m512 value = _mm512_set1_ps(sums->x[r][k + kInput]);
#pragma GCC unroll 4
    for (int s = 0; s < kStrips; ++s) {
      sums->of[r][s] = _mm512_fmadd_ps(value, weights[s], sums->of[r][s]);
    }
  }
}

inline void add_sum(const Panel& panel, float* y, const float* scale, __m512 sum) {
  const __m512 before = _mm512_loadu_ps(y);
  if (panel.scale == nullptr) {
    _mm512_storeu_ps(y, _mm512_add_ps(before, sum));
  } else {
    _mm512_storeu_ps(y, _mm512_fmadd_ps(sum, _mm512_loadu_ps(scale), before));
  }
}

template <typename Weights, int kRows, int kStrips>
void tile(const Panel& panel, uint32_t row) {
  using Extra = typename Weights::Extra;
  Sums<kRows, kStrips> sums;
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    sums.x[r] = panel.x + (row + static_cast<uint32_t>(r)) * panel.x_stride;
#pragma GCC unroll 4
    for (int s = 0; s < kStrips; ++s) sums.of[r][s] = _mm512_setzero_ps();
  }
  const Extra extras[4] = {Extra(panel.zero(0)),
                           Extra(panel.zero(1 % kStrips)),
                           Extra(panel.zero(2 % kStrips)),
                           Extra(panel.zero(3 % kStrips))};
  const uint8_t* at = panel.weights;
  typename Weights::Bits bits[kStrips];
  uint32_t k = 0;
  for (; k + Weights::kStepInputs <= panel.inputs; k += Weights::kStepInputs) {
#pragma GCC unroll 4
    for (int s = 0; s < kStrips; ++s) {
      const uint8_t* from = at + static_cast<uint64_t>(s) * panel.strip_bytes;
      if (kRows == 1) _mm_prefetch(reinterpret_cast<const char*>(from + kAheadBytes), _MM_HINT_T0);
      bits[s] = Weights::fetch(from);
    }
    at += Weights::kStepBytes;
    add_input<Weights, 0>(bits, extras, k, &sums);
    if constexpr (Weights::kStepInputs > 1) add_input<Weights, 1>(bits, extras, k, &sums);
    if constexpr (Weights::kStepInputs > 2) {
      add_input<Weights, 2>(bits, extras, k, &sums);
      add_input<Weights, 3>(bits, extras, k, &sums);
    }
  }
  if (k < panel.inputs) {
#pragma GCC unroll 4
    for (int s = 0; s < kStrips; ++s) {
      bits[s] = Weights::fetch_last(at + static_cast<uint64_t>(s) * panel.strip_bytes);
    }
    add_input<Weights, 0>(bits, extras, k, &sums);
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    float* y = panel.y + (row + static_cast<uint32_t>(r)) * panel.y_stride;
#pragma GCC unroll 4
    for (int s = 0; s < kStrips; ++s) {
      const auto strip = static_cast<uint32_t>(s);
      add_sum(panel, y + strip * kStripOutputs, panel.scale_of(strip), sums.of[r][s]);
    }
  }
}

template <typename Weights, int kStrips, int kRows = kTileRows>
void tile_of(const Panel& panel, uint32_t row, uint32_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile_of<Weights, kStrips, kRows - 1>(panel, row, rows);
  }
  tile<Weights, kRows, kStrips>(panel, row);
}

// Rows are dealt out evenly: 16 are 8 and 8, for a tile of 4 would leave the adders waiting.
template <typename Weights, int kStrips>
void tiles(const Panel& panel, uint32_t rows) {
  uint32_t row = 0;
  for (uint32_t left = (rows + kTileRows - 1) / kTileRows; left > 0; --left) {
    const uint32_t count = (rows - row + left - 1) / left;
    tile_of<Weights, kStrips>(panel, row, count);
    row += count;
  }
}

template <typename Weights>
void matmul_strips(const MatmulArgs& args, WorkRange strips) {
  const Matrix& matrix = *args.matrix;
  uint32_t count = 0;
  for (uint32_t strip = strips.begin; strip < strips.end; strip += count) {
    const uint32_t left = strips.end - strip;
    // A few rows alone are too few chains: they take more strips at once.
    count = args.rows <= 3 && left >= 4 ? 4 : std::min(left, 2u);
    for (uint32_t k = 0; k < matrix.inputs; k += matrix.panel_inputs()) {
      const Panel panel = panel_of(args, strip, k);
      if (count == 4) {
        tile_of<Weights, 4, 3>(panel, 0, args.rows);
      } else if (count == 2) {
        tiles<Weights, 2>(panel, args.rows);
      } else {
        tiles<Weights, 1>(panel, args.rows);
      }
    }
  }
}

}  // namespace

void matmul_avx512(const MatmulArgs& args, WorkRange strips) {
  begin_rows(args, strips);
  switch (args.matrix->type) {
    case WeightType::kF32:
      return matmul_strips<WeightsF32>(args, strips);
    case WeightType::kBf16:
      return matmul_strips<WeightsBf16>(args, strips);
    case WeightType::kF16:
      return matmul_strips<WeightsF16>(args, strips);
    case WeightType::kInt4:
      return matmul_strips<WeightsInt4>(args, strips);
  }
}

}  // namespace sluice

#endif
