// The AVX2 form of matmul. A tile is up to 6 rows by 16 outputs (12 sums in registers), or fewer
// rows by more strips so that there are always enough independent chains to hide the latency of a
// fused multiply-add. Weights of a panel stay in L1 while all rows pass over them.
#include "kernels/matmul.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/matmul_panel.h"

namespace sluice {
namespace {

constexpr uint32_t kTileRows = 6;
constexpr uint32_t kRowBytesF32 = kStripOutputs * 4;
constexpr uint32_t kRowBytesHalf = kStripOutputs * 2;

struct Pair {
  __m256 low;   // outputs 0 .. 7
  __m256 high;  // outputs 8 .. 15
};

struct LoadF32 {
  static constexpr uint32_t kInputBytes = kRowBytesF32;
  static Pair load(const uint8_t* at) {
    const auto* weights = reinterpret_cast<const float*>(at);
    return {_mm256_loadu_ps(weights), _mm256_loadu_ps(weights + 8)};
  }
};

struct LoadBf16 {
  static constexpr uint32_t kInputBytes = kRowBytesHalf;
  static Pair load(const uint8_t* at) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(words, 16)),
            _mm256_castsi256_ps(_mm256_and_si256(words, upper))};
  }
};

struct LoadF16 {
  static constexpr uint32_t kInputBytes = kRowBytesHalf;
  static Pair load(const uint8_t* at) {
    const auto* halves = reinterpret_cast<const __m128i*>(at);
    return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
  }
};

void add_sums(const Panel& panel, float* y, __m256 low, __m256 high) {
  const __m256 y_low = _mm256_loadu_ps(y);
  const __m256 y_high = _mm256_loadu_ps(y + 8);
  if (panel.scale == nullptr) {
    _mm256_storeu_ps(y, _mm256_add_ps(y_low, low));
    _mm256_storeu_ps(y + 8, _mm256_add_ps(y_high, high));
    return;
  }
  _mm256_storeu_ps(y, _mm256_fmadd_ps(low, _mm256_loadu_ps(panel.scale), y_low));
  _mm256_storeu_ps(y + 8, _mm256_fmadd_ps(high, _mm256_loadu_ps(panel.scale + 8), y_high));
}

// The loops over rows and strips are unrolled whole: only so do the sums stay in registers.
template <typename Load, int kRows, int kStrips>
void tile(const Panel& panel, uint32_t row) {
  __m256 low[kRows][kStrips];
  __m256 high[kRows][kStrips];
  const float* x[kRows];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    x[r] = panel.x + (row + static_cast<uint32_t>(r)) * panel.x_stride;
#pragma GCC unroll 4
    for (int s = 0; s < kStrips; ++s) low[r][s] = high[r][s] = _mm256_setzero_ps();
  }
  const uint64_t strip_bytes = panel.strip_bytes;
  const uint32_t inputs = panel.inputs;
  const uint8_t* at = panel.weights;
  for (uint32_t k = 0; k < inputs; ++k, at += Load::kInputBytes) {
    Pair weights[kStrips];
#pragma GCC unroll 4
    for (int s = 0; s < kStrips; ++s) {
      weights[s] = Load::load(at + static_cast<uint64_t>(s) * strip_bytes);
    }
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const __m256 value = _mm256_broadcast_ss(x[r] + k);
#pragma GCC unroll 4
      for (int s = 0; s < kStrips; ++s) {
        low[r][s] = _mm256_fmadd_ps(value, weights[s].low, low[r][s]);
        high[r][s] = _mm256_fmadd_ps(value, weights[s].high, high[r][s]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    float* y = panel.y + (row + static_cast<uint32_t>(r)) * panel.y_stride;
#pragma GCC unroll 4
    for (int s = 0; s < kStrips; ++s) {
      add_sums(panel, y + static_cast<uint32_t>(s) * kStripOutputs, low[r][s], high[r][s]);
    }
  }
}

// How many strips a tile of these rows takes: rows * strips * 2 sums of at most 12 registers.
constexpr uint32_t tile_strips(uint32_t rows) {
  return rows == 1 ? 4 : rows <= 3 ? 2 : 1;
}

template <typename Load>
void single_strip_tile(const Panel& panel, uint32_t row, uint32_t rows) {
  switch (rows) {
    case 6:
      return tile<Load, 6, 1>(panel, row);
    case 5:
      return tile<Load, 5, 1>(panel, row);
    case 4:
      return tile<Load, 4, 1>(panel, row);
    case 3:
      return tile<Load, 3, 1>(panel, row);
    case 2:
      return tile<Load, 2, 1>(panel, row);
    default:
      return tile<Load, 1, 1>(panel, row);
  }
}

// Rows are dealt out evenly: 8 are 4 and 4, for a tile of 2 would leave the adders waiting.
template <typename Load>
void single_strip_tiles(const Panel& panel, uint32_t rows) {
  uint32_t row = 0;
  for (uint32_t left = (rows + kTileRows - 1) / kTileRows; left > 0; --left) {
    const uint32_t count = (rows - row + left - 1) / left;
    single_strip_tile<Load>(panel, row, count);
    row += count;
  }
}

template <typename Load>
void tiles(const Panel& panel, uint32_t rows, uint32_t strips) {
  if (strips == 1) return single_strip_tiles<Load>(panel, rows);
  if (strips == 4) return tile<Load, 1, 4>(panel, 0);
  if (rows == 1) return tile<Load, 1, 2>(panel, 0);
  if (rows == 2) return tile<Load, 2, 2>(panel, 0);
  tile<Load, 3, 2>(panel, 0);
}

template <typename Load>
void matmul_dense(const MatmulArgs& args, WorkRange strips) {
  const Matrix& matrix = *args.matrix;
  uint32_t count = 0;
  for (uint32_t strip = strips.begin; strip < strips.end; strip += count) {
    count = std::min(tile_strips(args.rows), strips.end - strip);
    if (count == 3) count = 2;
    for (uint32_t k = 0; k < matrix.inputs; k += kPanelInputs) {
      const Panel panel = panel_of(args, strip, k);
      tiles<Load>(panel, args.rows, count);
    }
  }
}

// Widens int4 weights of one panel to floats q - zero, which are exact.
void widen_int4(const uint8_t* words, const uint8_t* zeros, uint32_t inputs, float* out) {
  const auto* zero_bytes = reinterpret_cast<const __m128i*>(zeros);
  const __m128i zero16 = _mm_loadu_si128(zero_bytes);
  const __m256i zero_low = _mm256_cvtepu8_epi32(zero16);
  const __m256i zero_high = _mm256_cvtepu8_epi32(_mm_srli_si128(zero16, 8));
  const __m256i nibble = _mm256_set1_epi32(15);
  for (uint32_t k = 0; k < inputs; k += kInt4Inputs) {
    __m256i packed = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
    words += 32;
    for (uint32_t i = 0; i < kInt4Inputs; ++i) {
      const __m256i low = _mm256_and_si256(packed, nibble);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi32(packed, 4), nibble);
      _mm256_store_ps(out, _mm256_cvtepi32_ps(_mm256_sub_epi32(low, zero_low)));
      _mm256_store_ps(out + 8, _mm256_cvtepi32_ps(_mm256_sub_epi32(high, zero_high)));
      out += kStripOutputs;
      packed = _mm256_srli_epi32(packed, 8);
    }
  }
}

void matmul_int4(const MatmulArgs& args, WorkRange strips) {
  const Matrix& matrix = *args.matrix;
  alignas(64) float widened[kPanelInputs * kStripOutputs];  // [inputs of a panel, 16]
  for (uint32_t strip = strips.begin; strip < strips.end; ++strip) {
    for (uint32_t k = 0; k < matrix.inputs; k += matrix.panel_inputs()) {
      Panel panel = panel_of(args, strip, k);
      widen_int4(panel.weights, panel.zeros, panel.inputs, widened);
      panel.weights = reinterpret_cast<const uint8_t*>(widened);
      tiles<LoadF32>(panel, args.rows, 1);
    }
  }
}

}  // namespace

void matmul_avx2(const MatmulArgs& args, WorkRange strips) {
  begin_rows(args, strips);
  switch (args.matrix->type) {
    case WeightType::kF32:
      return matmul_dense<LoadF32>(args, strips);
    case WeightType::kBf16:
      return matmul_dense<LoadBf16>(args, strips);
    case WeightType::kF16:
      return matmul_dense<LoadF16>(args, strips);
    case WeightType::kInt4:
      return matmul_int4(args, strips);
  }
}

}  // namespace sluice

#endif
