// The AVX2 form of attention. Rows (token, head) go through a chunk in tiles of up to 6: keys lie
// transposed in their block, so 16 scores of a row are two vectors, as a strip of matmul is; values
// are summed 16 elements at a time with the sums of a tile in registers.
#include "kernels/attention.h"

#if defined(__x86_64__)

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/exp_avx2.h"
#include "kernels/lanes.h"
#include "runtime/thread_pool.h"

namespace sluice {
namespace {

constexpr uint32_t kTileRows = 6;
constexpr uint32_t kChunkBlocks = kChunkTokens / kBlockTokens;

// One call's rows, and where the walk over the chunks stands.
struct Walk {
  const AttentionArgs* args = nullptr;
  float* scores = nullptr;   // [rows, kChunkTokens]
  float* sums = nullptr;     // [rows, head_dim], of this chunk
  float* highest = nullptr;  // [rows], so far
  float* totals = nullptr;   // [rows], so far
  const float* blocks[kChunkBlocks] = {};
  uint32_t chunk_begin = 0;

  uint32_t position(uint32_t row) const { return args->position + row / args->group; }
  // Positions of this chunk that a row sees: 0 for a row that ends before it.
  uint32_t seen(uint32_t row) const {
    const uint32_t end = position(row) + 1;
    return end > chunk_begin ? std::min(end - chunk_begin, kChunkTokens) : 0;
  }
  const float* q(uint32_t row) const {
    return args->q + row / args->group * args->q_stride +
           size_t{row % args->group} * args->head_dim;
  }
  float* out(uint32_t row) const {
    return args->out + row / args->group * args->out_stride +
           size_t{row % args->group} * args->head_dim;
  }
};

// Scores past what a row sees are computed from whatever the block holds, and never read.
template <int kRows>
void score_tile(const Walk& walk, uint32_t row, uint32_t count) {
  const uint32_t head_dim = walk.args->head_dim;
  const __m256 scale = _mm256_set1_ps(1.0f / std::sqrt(static_cast<float>(head_dim)));
  const float* q[kRows];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) q[r] = walk.q(row + static_cast<uint32_t>(r));
  for (uint32_t begin = 0; begin < count; begin += kBlockTokens) {
    const float* keys = walk.blocks[begin / kBlockTokens];  // [head_dim, 16]
    __m256 low[kRows];
    __m256 high[kRows];
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) low[r] = high[r] = _mm256_setzero_ps();
    for (uint32_t d = 0; d < head_dim; ++d, keys += kBlockTokens) {
      const __m256 keys_low = _mm256_loadu_ps(keys);
      const __m256 keys_high = _mm256_loadu_ps(keys + 8);
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) {
        const __m256 value = _mm256_broadcast_ss(q[r] + d);
        low[r] = _mm256_fmadd_ps(value, keys_low, low[r]);
        high[r] = _mm256_fmadd_ps(value, keys_high, high[r]);
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      float* scores = walk.scores + (row + static_cast<uint32_t>(r)) * kChunkTokens + begin;
      _mm256_storeu_ps(scores, _mm256_mul_ps(low[r], scale));
      _mm256_storeu_ps(scores + 8, _mm256_mul_ps(high[r], scale));
    }
  }
}

// Adds the values of some positions of the chunk, by their weights, to 8 * kVectors
// elements of the tile's sums.
template <int kRows, int kVectors>
void weigh_slice(const Walk& walk, uint32_t row, uint32_t element, WorkRange positions) {
  const uint32_t head_dim = walk.args->head_dim;
  const float* weights = walk.scores + row * kChunkTokens;
  float* sums = walk.sums + row * head_dim + element;
  __m256 sum[kRows][kVectors];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = _mm256_loadu_ps(sums + static_cast<uint32_t>(r) * head_dim + v * 8);
    }
  }
  for (uint32_t i = positions.begin; i < positions.end; ++i) {
    const float* values = walk.blocks[i / kBlockTokens] + size_t{head_dim} * kBlockTokens +
                          size_t{i % kBlockTokens} * head_dim + element;
    __m256 value[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) value[v] = _mm256_loadu_ps(values + v * 8);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const __m256 weight =
          _mm256_broadcast_ss(weights + static_cast<uint32_t>(r) * kChunkTokens + i);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm256_fmadd_ps(weight, value[v], sum[r][v]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      _mm256_storeu_ps(sums + static_cast<uint32_t>(r) * head_dim + v * 8, sum[r][v]);
    }
  }
}

template <int kRows>
void weigh(const Walk& walk, uint32_t row, WorkRange positions) {
  if (positions.begin == positions.end) return;
  const uint32_t head_dim = walk.args->head_dim;
  uint32_t element = 0;
  for (; element + 16 <= head_dim; element += 16) {
    weigh_slice<kRows, 2>(walk, row, element, positions);
  }
  if (element < head_dim) weigh_slice<kRows, 1>(walk, row, element, positions);
}

// Turns a row's scores into weights and returns the chunk's highest score and total weight.
void soften(float* scores, uint32_t count, float* highest, float* total) {
  const float masked = -std::numeric_limits<float>::infinity();
  const uint32_t padded = (count + 7) / 8 * 8;
  std::fill(scores + count, scores + padded, masked);
  __m256 most = _mm256_set1_ps(masked);
  for (uint32_t i = 0; i < padded; i += 8) most = _mm256_max_ps(_mm256_loadu_ps(scores + i), most);
  float lanes[kSumLanes];
  _mm256_storeu_ps(lanes, most);
  *highest = *std::max_element(lanes, lanes + kSumLanes);
  const __m256 subtract = _mm256_set1_ps(*highest);
  __m256 sum = _mm256_setzero_ps();
  for (uint32_t i = 0; i < padded; i += 8) {
    const __m256 weight = exp_avx2(_mm256_sub_ps(_mm256_loadu_ps(scores + i), subtract));
    _mm256_storeu_ps(scores + i, weight);
    sum = _mm256_add_ps(sum, weight);
  }
  _mm256_storeu_ps(lanes, sum);
  *total = sum_of_lanes(lanes);
}

void merge(const Walk& walk, uint32_t row, float chunk_highest, float chunk_total) {
  const uint32_t head_dim = walk.args->head_dim;
  const float before = walk.highest[row];
  const float merged = chunk_highest > before ? chunk_highest : before;
  const float keep = exp_f32(before - merged);
  const float add = exp_f32(chunk_highest - merged);
  const __m256 keeps = _mm256_set1_ps(keep);
  const __m256 adds = _mm256_set1_ps(add);
  float* out = walk.out(row);
  const float* sums = walk.sums + row * head_dim;
  for (uint32_t d = 0; d < head_dim; d += 8) {
    const __m256 kept = _mm256_mul_ps(_mm256_loadu_ps(out + d), keeps);
    const __m256 added = _mm256_mul_ps(_mm256_loadu_ps(sums + d), adds);
    _mm256_storeu_ps(out + d, _mm256_add_ps(kept, added));
  }
  walk.totals[row] = walk.totals[row] * keep + chunk_total * add;
  walk.highest[row] = merged;
}

template <int kRows>
void chunk_tile(const Walk& walk, uint32_t row) {
  // Rows stand in order of their tokens: the first sees least, the last most.
  const uint32_t least = walk.seen(row);
  score_tile<kRows>(walk, row, walk.seen(row + kRows - 1));
  float highest[kRows];
  float totals[kRows];
  for (uint32_t r = 0; r < kRows; ++r) {
    float* scores = walk.scores + (row + r) * kChunkTokens;
    soften(scores, walk.seen(row + r), &highest[r], &totals[r]);
  }
  std::fill_n(walk.sums + row * walk.args->head_dim, kRows * walk.args->head_dim, 0.0f);
  weigh<kRows>(walk, row, {0, least});
  for (uint32_t r = 0; r < kRows; ++r) weigh<1>(walk, row + r, {least, walk.seen(row + r)});
  for (uint32_t r = 0; r < kRows; ++r) merge(walk, row + r, highest[r], totals[r]);
}

void chunk_rows(const Walk& walk, uint32_t row, uint32_t rows) {
  switch (rows) {
    case 6:
      return chunk_tile<6>(walk, row);
    case 5:
      return chunk_tile<5>(walk, row);
    case 4:
      return chunk_tile<4>(walk, row);
    case 3:
      return chunk_tile<3>(walk, row);
    case 2:
      return chunk_tile<2>(walk, row);
    default:
      return chunk_tile<1>(walk, row);
  }
}

}  // namespace

void attention_avx2(const AttentionArgs& args, float* scratch) {
  const uint32_t rows = args.tokens * args.group;
  Walk walk;
  walk.args = &args;
  walk.scores = scratch;
  walk.sums = walk.scores + size_t{kAttentionRowsMax} * kChunkTokens;
  walk.highest = walk.sums + size_t{kAttentionRowsMax} * kHeadDimMax;
  walk.totals = walk.highest + kAttentionRowsMax;
  for (uint32_t row = 0; row < rows; ++row) {
    walk.highest[row] = -std::numeric_limits<float>::infinity();
    walk.totals[row] = 0;
    std::fill_n(walk.out(row), args.head_dim, 0.0f);
  }
  const uint32_t context = args.position + args.tokens;
  for (walk.chunk_begin = 0; walk.chunk_begin < context; walk.chunk_begin += kChunkTokens) {
    const uint32_t end = std::min(walk.chunk_begin + kChunkTokens, context);
    for (uint32_t position = walk.chunk_begin; position < end; position += kBlockTokens) {
      const uint32_t block = args.block_table[position / kBlockTokens];
      walk.blocks[(position - walk.chunk_begin) / kBlockTokens] =
          args.blocks + block * args.block_stride;
    }
    uint32_t row = 0;
    while (row < rows && walk.seen(row) == 0) ++row;
    for (; row < rows; row += std::min(kTileRows, rows - row)) {
      chunk_rows(walk, row, std::min(kTileRows, rows - row));
    }
  }
  for (uint32_t row = 0; row < rows; ++row) {
    float* out = walk.out(row);
    const __m256 total = _mm256_set1_ps(walk.totals[row]);
    for (uint32_t d = 0; d < args.head_dim; d += 8) {
      _mm256_storeu_ps(out + d, _mm256_div_ps(_mm256_loadu_ps(out + d), total));
    }
  }
}

}  // namespace sluice

#endif
