// The order of operations in a layer, and how each is split over the threads.
#include "model/transformer.h"

#include <algorithm>

#include "kernels/embed.h"

namespace sluice {
namespace {

// Below this many elements a piece costs less than waking another thread for it.
constexpr uint64_t kInlineElements = 1 << 14;

// Multiply-adds of attention below which one thread does it all.
constexpr uint64_t kInlineAttention = 1 << 16;

// Strips that a worker takes at least: two keep enough sums in flight for a single row.
constexpr uint32_t kStripGrain = 2;

constexpr size_t kRowAlign = kStripOutputs;  // floats: rows begin on a cache line

size_t padded(size_t floats) {
  return (floats + kRowAlign - 1) / kRowAlign * kRowAlign;
}

// Calls work(part) over [0, rows), in parallel where the rows are worth it.
template <typename Work>
void over_rows(ThreadPool* pool, uint32_t rows, uint64_t row_elements, const Work& work) {
  const auto grain = static_cast<uint32_t>(kInlineElements / row_elements) + 1;
  pool->run(rows, grain, [&](WorkRange part, uint32_t) { work(part); });
}

}  // namespace

void apply_linear(const ModelParts& parts, const LinearArgs& args) {
  const uint32_t strips = args.linear->strips();
  parts.pool->run(strips, kStripGrain, [&](WorkRange share, uint32_t) {
    uint32_t first = 0;  // strip of this part in the whole
    for (const LinearPart& part : args.linear->parts) {
      const uint32_t end = first + part.matrix.strips();
      const WorkRange mine{std::max(share.begin, first), std::min(share.end, end)};
      if (mine.begin < mine.end) {
        MatmulArgs matmul;
        matmul.matrix = &part.matrix;
        matmul.x = args.x.data;
        matmul.x_stride = args.x.stride;
        matmul.rows = args.rows;
        matmul.y = args.y.data + part.column;
        matmul.y_stride = args.y.stride;
        matmul.accumulate = args.accumulate;
        parts.kernels->matmul(matmul, {mine.begin - first, mine.end - first});
      }
      first = end;
    }
  });
}

Transformer::Transformer(const ModelParts& parts)
    : parts_(parts), config_(*parts.config), rotary_(*parts.config) {}

Status Transformer::reserve(uint32_t rows_max) {
  const LayerWeights& layer = parts_.weights->layers[0];
  const size_t half = config_.head_dim / 2;
  struct Part {
    RowsView* view;
    size_t rows;
    size_t floats;
  };
  const Part wanted[] = {{&residual_, rows_max, layer.output.columns()},
                         {&normed_, rows_max, config_.hidden},
                         {&qkv_, rows_max, layer.qkv.columns()},
                         {&attended_, rows_max, size_t{config_.heads} * config_.head_dim},
                         {&gate_up_, rows_max, layer.gate_up.columns()},
                         {&inner_, rows_max, config_.intermediate},
                         {&cosines_, rows_max, half},
                         {&sines_, rows_max, half},
                         {&scratch_, parts_.pool->threads(), kAttentionScratch}};
  size_t total = 0;
  for (const Part& part : wanted) total += part.rows * padded(part.floats);
  SLUICE_RETURN_IF_ERROR(LargeBuffer::allocate(total * sizeof(float), &memory_));
  auto* at = reinterpret_cast<float*>(memory_.data());
  for (const Part& part : wanted) {
    *part.view = {at, padded(part.floats)};
    at += part.rows * padded(part.floats);
  }
  return Status::ok();
}

void Transformer::embed_rows(const BatchRows& batch) {
  const std::span<const Row> rows = batch.rows();
  const auto count = static_cast<uint32_t>(rows.size());
  over_rows(parts_.pool, count, config_.hidden, [&](WorkRange mine) {
    for (uint32_t i = mine.begin; i < mine.end; ++i) {
      SLUICE_CHECK(rows[i].token < config_.vocab_size);
      embed({&parts_.weights->embedding, rows[i].token, residual_.row(i)});
      rotary_.angles(rows[i].position, cosines_.row(i), sines_.row(i));
    }
  });
}

void Transformer::run(const BatchRows& batch) {
  embed_rows(batch);
  for (uint32_t layer = 0; layer < config_.layers; ++layer) {
    attention_layer(batch, layer);
    mlp_layer(batch, parts_.weights->layers[layer]);
  }
}

void Transformer::norm(uint32_t rows, const float* weight) {
  over_rows(parts_.pool, rows, config_.hidden, [&](WorkRange mine) {
    RmsNormArgs args;
    args.x = residual_.row(mine.begin);
    args.x_stride = residual_.stride;
    args.out = normed_.row(mine.begin);
    args.out_stride = normed_.stride;
    args.rows = mine.end - mine.begin;
    args.size = config_.hidden;
    args.weight = weight;
    args.epsilon = config_.norm_epsilon;
    parts_.kernels->rmsnorm(args);
  });
}

void Transformer::attention_layer(const BatchRows& batch, uint32_t layer) {
  const LayerWeights& weights = parts_.weights->layers[layer];
  const auto rows = static_cast<uint32_t>(batch.rows().size());
  norm(rows, weights.input_norm);
  apply_linear(parts_, {&weights.qkv, normed_, rows, qkv_, false});
  over_rows(parts_.pool, rows, qkv_.stride, [&](WorkRange mine) {
    for (uint32_t i = mine.begin; i < mine.end; ++i) place_row(batch.rows()[i], i, layer);
  });
  attend(batch, layer);
  apply_linear(parts_, {&weights.output, attended_, rows, residual_, true});
}

// Norms and rotates a row's queries and keys, and writes its keys and values to the cache.
void Transformer::place_row(const Row& row, uint32_t index, uint32_t layer) {
  const LayerWeights& weights = parts_.weights->layers[layer];
  const uint32_t head_dim = config_.head_dim;
  float* q = qkv_.row(index) + weights.qkv.parts[0].column;  // [heads, head_dim]
  float* k = qkv_.row(index) + weights.qkv.parts[1].column;  // [kv_heads, head_dim]
  const float* v = qkv_.row(index) + weights.qkv.parts[2].column;
  if (config_.has_qk_norm) {
    const float epsilon = config_.norm_epsilon;
    const size_t stride = head_dim;
    parts_.kernels->rmsnorm(
        {q, stride, q, stride, config_.heads, head_dim, weights.query_norm, epsilon});
    parts_.kernels->rmsnorm(
        {k, stride, k, stride, config_.kv_heads, head_dim, weights.key_norm, epsilon});
  }
  const float* cosines = cosines_.row(index);
  const float* sines = sines_.row(index);
  parts_.kernels->rope({q, config_.heads, head_dim, cosines, sines});
  parts_.kernels->rope({k, config_.kv_heads, head_dim, cosines, sines});
  for (uint32_t head = 0; head < config_.kv_heads; ++head) {
    const size_t at = size_t{head} * head_dim;
    parts_.cache->store({row.block, row.position % kBlockTokens, layer, head}, k + at, v + at);
  }
}

void Transformer::attend(const BatchRows& batch, uint32_t layer) {
  const auto tiles = batch.tiles();
  const auto pieces = static_cast<uint32_t>(tiles.size()) * config_.kv_heads;
  const uint64_t cost = batch.attended_tokens() * config_.heads * config_.head_dim;
  const uint32_t grain = cost < kInlineAttention ? pieces : 1;
  parts_.pool->run(pieces, grain, [&](WorkRange part, uint32_t worker) {
    for (uint32_t piece = part.begin; piece < part.end; ++piece) {
      const uint32_t kv_head = piece % config_.kv_heads;
      attend_piece(tiles[piece / config_.kv_heads], kv_head, layer, scratch_.row(worker));
    }
  });
}

void Transformer::attend_piece(const AttentionTile& tile,
                               uint32_t kv_head,
                               uint32_t layer,
                               float* scratch) {
  const size_t head_at = size_t{kv_head} * config_.group() * config_.head_dim;
  AttentionArgs args;
  args.q = qkv_.row(tile.row) + parts_.weights->layers[layer].qkv.parts[0].column + head_at;
  args.q_stride = qkv_.stride;
  args.out = attended_.row(tile.row) + head_at;
  args.out_stride = attended_.stride;
  args.blocks = parts_.cache->part(layer, kv_head);
  args.block_stride = parts_.cache->block_floats();
  args.block_table = tile.block_table;
  args.position = tile.position;
  args.tokens = tile.tokens;
  args.group = config_.group();
  args.head_dim = config_.head_dim;
  parts_.kernels->attention(args, scratch);
}

void Transformer::mlp_layer(const BatchRows& batch, const LayerWeights& weights) {
  const auto rows = static_cast<uint32_t>(batch.rows().size());
  norm(rows, weights.mlp_norm);
  apply_linear(parts_, {&weights.gate_up, normed_, rows, gate_up_, false});
  over_rows(parts_.pool, rows, config_.intermediate, [&](WorkRange mine) {
    for (uint32_t i = mine.begin; i < mine.end; ++i) {
      const float* gate = gate_up_.row(i) + weights.gate_up.parts[0].column;
      const float* up = gate_up_.row(i) + weights.gate_up.parts[1].column;
      parts_.kernels->silu_mul({gate, up, inner_.row(i), config_.intermediate});
    }
  });
  apply_linear(parts_, {&weights.down, inner_, rows, residual_, true});
}

}  // namespace sluice
