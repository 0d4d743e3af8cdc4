// The plain form of attention, one row at a time: what the fast forms are held against, to the bit,
// and what runs where there is no fast form.
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/exp.h"
#include "kernels/lanes.h"
#include "runtime/thread_pool.h"

namespace sluice {
namespace {

struct Row {
  const float* q;
  float* out;
  uint32_t position;
};

const float* block_of(const AttentionArgs& args, uint32_t position) {
  return args.blocks + args.block_table[position / kBlockTokens] * args.block_stride;
}

// Scores of positions [begin, begin + count), then their weights against the chunk's highest.
float chunk_scores(const AttentionArgs& args, const Row& row, WorkRange chunk, float* scores) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(args.head_dim));
  float highest = -std::numeric_limits<float>::infinity();
  for (uint32_t position = chunk.begin; position < chunk.end; ++position) {
    const float* keys = block_of(args, position) + position % kBlockTokens;
    float score = 0;
    for (uint32_t d = 0; d < args.head_dim; ++d) {
      score = std::fma(row.q[d], keys[size_t{d} * kBlockTokens], score);
    }
    score *= scale;
    scores[position - chunk.begin] = score;
    highest = score > highest ? score : highest;
  }
  return highest;
}

float exp_scores(float* scores, uint32_t count, float highest) {
  float lanes[kSumLanes] = {};
  for (uint32_t i = 0; i < count; ++i) {
    scores[i] = exp_f32(scores[i] - highest);
    lanes[i % kSumLanes] += scores[i];
  }
  return sum_of_lanes(lanes);
}

void attend_row(const AttentionArgs& args, const Row& row, float* scores) {
  float highest = -std::numeric_limits<float>::infinity();
  float total = 0;
  std::fill_n(row.out, args.head_dim, 0.0f);
  for (uint32_t begin = 0; begin <= row.position; begin += kChunkTokens) {
    const WorkRange chunk{begin, std::min(begin + kChunkTokens, row.position + 1)};
    const float chunk_highest = chunk_scores(args, row, chunk, scores);
    const float chunk_total = exp_scores(scores, chunk.end - chunk.begin, chunk_highest);
    const float merged = chunk_highest > highest ? chunk_highest : highest;
    const float keep = exp_f32(highest - merged);
    const float add = exp_f32(chunk_highest - merged);
    for (uint32_t d = 0; d < args.head_dim; ++d) {
      float sum = 0;
      for (uint32_t position = chunk.begin; position < chunk.end; ++position) {
        const float* values = block_of(args, position) + size_t{args.head_dim} * kBlockTokens;
        const float value = values[size_t{position % kBlockTokens} * args.head_dim + d];
        sum = std::fma(scores[position - chunk.begin], value, sum);
      }
      row.out[d] = row.out[d] * keep + sum * add;
    }
    total = total * keep + chunk_total * add;
    highest = merged;
  }
  for (uint32_t d = 0; d < args.head_dim; ++d) row.out[d] /= total;
}

}  // namespace

void attention_reference(const AttentionArgs& args, float* scratch) {
  for (uint32_t token = 0; token < args.tokens; ++token) {
    for (uint32_t head = 0; head < args.group; ++head) {
      const size_t at = size_t{head} * args.head_dim;
      const Row row{args.q + token * args.q_stride + at,
                    args.out + token * args.out_stride + at,
                    args.position + token};
      attend_row(args, row, scratch);
    }
  }
}

}  // namespace sluice
