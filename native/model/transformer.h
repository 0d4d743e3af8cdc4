// The decoder's layers over the rows of one batch: from token ids to the residual stream after the
// last layer, with keys and values written to the cache on the way. Five parallel pieces a layer;
// every row's result depends on that row's sequence alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "model/batch_rows.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/rotary.h"
#include "model/weights.h"
#include "runtime/large_buffer.h"
#include "runtime/thread_pool.h"

namespace sluice {

// What the passes share; all of it outlives them.
struct ModelParts {
  const ModelConfig* config = nullptr;
  const ModelWeights* weights = nullptr;
  const Kernels* kernels = nullptr;
  ThreadPool* pool = nullptr;
  KvCache* cache = nullptr;
};

// Rows of one float32 matrix.
struct RowsView {
  float* data = nullptr;
  size_t stride = 0;

  float* row(uint32_t index) const { return data + index * stride; }
};

// y = W x for all parts of a linear, split over the pool by strips.
struct LinearArgs {
  const Linear* linear = nullptr;
  RowsView x;
  uint32_t rows = 0;
  RowsView y;
  bool accumulate = false;
};
void apply_linear(const ModelParts& parts, const LinearArgs& args);

class Transformer {
 public:
  explicit Transformer(const ModelParts& parts);

  Status reserve(uint32_t rows_max);

  void run(const BatchRows& batch);

  // The parts of run(), for who looks at or changes what is between them: embeddings, then for each
  // layer attention and MLP, each of which adds to the residual stream.
  void embed_rows(const BatchRows& batch);
  void attention_layer(const BatchRows& batch, uint32_t layer);
  void mlp_layer(const BatchRows& batch, const LayerWeights& weights);

  // The residual stream, and what the linears read last: q, k, v or gate, up; o; down.
  RowsView residual() const { return residual_; }
  RowsView normed() const { return normed_; }
  RowsView attended() const { return attended_; }
  RowsView inner() const { return inner_; }

 private:
  void norm(uint32_t rows, const float* weight);
  void place_row(const Row& row, uint32_t index, uint32_t layer);
  void attend(const BatchRows& batch, uint32_t layer);
  void attend_piece(const AttentionTile& tile, uint32_t kv_head, uint32_t layer, float* scratch);

  const ModelParts parts_;
  const ModelConfig& config_;
  Rotary rotary_;
  LargeBuffer memory_;
  RowsView residual_;  // [rows, hidden]
  RowsView normed_;    // [rows, hidden]
  RowsView qkv_;       // [rows, q | k | v]
  RowsView attended_;  // [rows, heads * head_dim]
  RowsView gate_up_;   // [rows, gate | up]
  RowsView inner_;     // [rows, intermediate]
  RowsView cosines_;   // [rows, head_dim / 2]
  RowsView sines_;     // [rows, head_dim / 2]
  RowsView scratch_;   // [threads, kAttentionScratch]
};

}  // namespace sluice
