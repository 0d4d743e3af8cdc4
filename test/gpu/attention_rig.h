// Sequences with random keys and values for the attention tests: kept contiguous for the float64
// reference, and in a paged pool with shuffled blocks whose other bytes are NaN for the kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "check.h"
#include "device_array.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/kv_layout.cuh"
#include "kernels/dtype.h"

namespace sluice::check {

// A stretch of rows of one sequence: query tokens after context tokens.
struct Stretch {
  int32_t slot;  // -1: padding
  uint32_t context;
  uint32_t query;
};

struct KvWorld {
  PagedAttentionShape shape;
  std::vector<uint32_t> lengths;               // tokens in the cache, by slot
  std::vector<uint64_t> starts;                // of each slot's tokens, in the contiguous arrays
  uint32_t blocks_max = 0;                     // of one sequence
  DeviceArray<uint16_t> keys, values;          // [tokens, kv_heads, head_dim]
  DeviceArray<uint16_t> key_pool, value_pool;  // paged
  DeviceArray<int32_t> tables;

  uint32_t width() const { return shape.heads * shape.head_dim; }
};

inline std::vector<uint16_t> random_values(size_t count, float scale, FastRandom* random) {
  std::vector<uint16_t> values(count);
  for (uint16_t& value : values) value = f32_to_bf16(random->value() * scale);
  return values;
}

// Stores contiguous rows where the layout wants them; all else in the pool stays NaN.
inline DeviceArray<uint16_t> paged(const std::vector<uint16_t>& rows,
                                   const PagedAttentionShape& shape,
                                   const std::vector<uint32_t>& block_of,
                                   uint32_t pool_blocks) {
  const uint32_t dim = shape.head_dim;
  std::vector<uint16_t> pool(size_t{pool_blocks} * shape.kv_heads * kBlockTokens * dim, 0x7FFF);
  const size_t tokens = rows.size() / shape.kv_heads / dim;
  // block_of holds, for each token, its block * 16 + place in it.
  for (size_t token = 0; token < tokens; ++token) {
    for (uint32_t head = 0; head < shape.kv_heads; ++head) {
      const uint64_t part =
          kv_part_begin(block_of[token] / kBlockTokens, head, shape.kv_heads, dim);
      for (uint32_t d = 0; d < dim; d += kKvChunk) {
        const uint32_t at = kv_part_offset(block_of[token] % kBlockTokens, d, dim);
        std::copy_n(&rows[(token * shape.kv_heads + head) * dim + d], kKvChunk, &pool[part + at]);
      }
    }
  }
  return DeviceArray<uint16_t>(pool);
}

inline KvWorld make_world(const PagedAttentionShape& shape,
                          const std::vector<uint32_t>& lengths,
                          uint64_t seed) {
  FastRandom random(seed);
  KvWorld world;
  world.shape = shape;
  world.lengths = lengths;
  uint32_t blocks = 0;
  uint64_t tokens = 0;
  for (const uint32_t length : lengths) {
    world.starts.push_back(tokens);
    tokens += length;
    const uint32_t own = (length + kBlockTokens - 1) / kBlockTokens;
    blocks += own;
    world.blocks_max = std::max(world.blocks_max, own + 2);
  }
  std::vector<uint32_t> order(blocks + 3);  // some blocks belong to nobody
  std::iota(order.begin(), order.end(), 0u);
  for (size_t i = order.size() - 1; i > 0; --i) {
    std::swap(order[i], order[random.below(static_cast<uint32_t>(i + 1))]);
  }
  // Past a sequence's end a table holds ids far outside of the pool.
  std::vector<int32_t> tables(lengths.size() * world.blocks_max, 0x7F000000);
  std::vector<uint32_t> block_of;
  uint32_t next = 0;
  for (size_t slot = 0; slot < lengths.size(); ++slot) {
    for (uint32_t t = 0; t < lengths[slot]; ++t) {
      if (t % kBlockTokens == 0) {
        tables[slot * world.blocks_max + t / kBlockTokens] = static_cast<int32_t>(order[next++]);
      }
      block_of.push_back(order[next - 1] * kBlockTokens + t % kBlockTokens);
    }
  }
  const size_t elements = size_t{tokens} * shape.kv_heads * shape.head_dim;
  const std::vector<uint16_t> keys = random_values(elements, 1.0f, &random);
  const std::vector<uint16_t> values = random_values(elements, 1.0f, &random);
  world.keys = DeviceArray<uint16_t>(keys);
  world.values = DeviceArray<uint16_t>(values);
  world.key_pool = paged(keys, shape, block_of, blocks + 3);
  world.value_pool = paged(values, shape, block_of, blocks + 3);
  world.tables = DeviceArray<int32_t>(tables);
  return world;
}

// A step's device arrays; decode stretches (query 1) come first.
struct TestStep {
  StepBatch batch;
  DeviceArray<int32_t> positions, slots, starts, contexts, sequence_slots;
  uint32_t tiles = 0;
};

inline TestStep make_step(const KvWorld& world,
                          const std::vector<Stretch>& stretches,
                          uint32_t decode_sequences) {
  TestStep step;
  std::vector<int32_t> positions, slots, starts{0}, contexts, sequence_slots;
  for (const Stretch& stretch : stretches) {
    for (uint32_t t = 0; t < stretch.query; ++t) {
      positions.push_back(static_cast<int32_t>(stretch.context + t));
      slots.push_back(stretch.slot);
    }
    starts.push_back(static_cast<int32_t>(positions.size()));
    contexts.push_back(static_cast<int32_t>(stretch.context));
    sequence_slots.push_back(stretch.slot);
    if (contexts.size() > decode_sequences) {
      step.tiles += prefill_tiles(stretch.query, world.shape);
    }
  }
  step.positions = DeviceArray<int32_t>(positions);
  step.slots = DeviceArray<int32_t>(slots);
  step.starts = DeviceArray<int32_t>(starts);
  step.contexts = DeviceArray<int32_t>(contexts);
  step.sequence_slots = DeviceArray<int32_t>(sequence_slots);
  StepBatch& batch = step.batch;
  batch.rows = static_cast<uint32_t>(positions.size());
  batch.sequences = static_cast<uint32_t>(contexts.size());
  batch.decode_sequences = decode_sequences;
  batch.row_position = step.positions.data();
  batch.row_slot = step.slots.data();
  batch.seq_query_start = step.starts.data();
  batch.seq_context = step.contexts.data();
  batch.seq_slot = step.sequence_slots.data();
  batch.block_tables = world.tables.data();
  batch.blocks_per_sequence_max = world.blocks_max;
  return step;
}

struct ReferenceArgs {
  const uint16_t* q;
  const uint16_t* keys;
  const uint16_t* values;
  const uint64_t* starts;
  double* out;  // [rows, heads, head_dim]
  PagedAttentionShape shape;
  uint32_t q_stride;
};

__device__ inline double widen(uint16_t value) {
  return static_cast<double>(__uint_as_float(uint32_t{value} << 16));
}

// One warp a row and head: softmax(q k / sqrt(d)) v, in float64, two passes.
__global__ void reference_attention(const ReferenceArgs a, const StepBatch step) {
  const uint32_t row = blockIdx.x;
  const uint32_t head = blockIdx.y;
  const int32_t slot = step.row_slot[row];
  if (slot < 0) return;
  const uint32_t dim = a.shape.head_dim;
  const uint32_t kv_head = head / (a.shape.heads / a.shape.kv_heads);
  const uint32_t tokens = static_cast<uint32_t>(step.row_position[row]) + 1;
  const uint16_t* q = a.q + uint64_t{row} * a.q_stride + head * dim;
  const auto score = [&](uint32_t t) {
    const uint16_t* key = a.keys + ((a.starts[slot] + t) * a.shape.kv_heads + kv_head) * dim;
    double sum = 0;
    for (uint32_t d = threadIdx.x; d < dim; d += 32) sum += widen(q[d]) * widen(key[d]);
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
    return sum / sqrt(static_cast<double>(dim));
  };
  double highest = -1e300;
  for (uint32_t t = 0; t < tokens; ++t) highest = fmax(highest, score(t));
  double total = 0;
  double sums[8] = {};
  for (uint32_t t = 0; t < tokens; ++t) {
    const double weight = exp(score(t) - highest);
    total += weight;
    const uint16_t* value = a.values + ((a.starts[slot] + t) * a.shape.kv_heads + kv_head) * dim;
    for (uint32_t i = 0; i * 32 + threadIdx.x < dim; ++i) {
      sums[i] += weight * widen(value[i * 32 + threadIdx.x]);
    }
  }
  double* out = a.out + (uint64_t{row} * a.shape.heads + head) * dim;
  for (uint32_t i = 0; i * 32 + threadIdx.x < dim; ++i) {
    out[i * 32 + threadIdx.x] = sums[i] / total;
  }
}

struct Attended {
  std::vector<uint16_t> out;  // [rows, stride]
  uint32_t stride;
};

// Queries of all rows, kept apart by the stride of a q|k|v row.
struct Queries {
  DeviceArray<uint16_t> values;
  uint32_t stride;
};

inline Queries make_queries(const KvWorld& world, uint32_t rows, float scale, uint64_t seed) {
  FastRandom random(seed);
  const uint32_t stride = world.width() + 2 * world.shape.kv_heads * world.shape.head_dim;
  return {DeviceArray<uint16_t>(random_values(size_t{rows} * stride, scale, &random)), stride};
}

// Everything that one attend needs beside the step.
class AttentionRig {
 public:
  AttentionRig(const KvWorld& world, uint32_t rows_max, uint64_t tokens_max) : world_(world) {
    const size_t bytes = attention_scratch_bytes(world.shape, rows_max, tokens_max);
    scratch_ = DeviceArray<uint8_t>(bytes);
    cudaMemset(scratch_.data(), 0, bytes);
    view_ = {scratch_.data(), bytes, rows_max};
    cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
    cudaDeviceSynchronize();
    const Status status = prepare_attention(world.shape);
    if (!status.is_ok()) fail(__FILE__, __LINE__, status.message());
  }
  ~AttentionRig() { cudaStreamDestroy(stream_); }

  cudaStream_t stream() const { return stream_; }

  // Launches plan and attend, without waiting.
  void launch(const TestStep& step, const uint16_t* q, uint32_t q_stride, uint16_t* out) {
    require(plan_attention(step.batch, world_.shape, view_, stream_));
    PagedAttentionArgs args;
    args.shape = world_.shape;
    args.q = q;
    args.q_stride = q_stride;
    args.out = out;
    args.out_stride = out_stride();
    args.keys = world_.key_pool.data();
    args.values = world_.value_pool.data();
    args.prefill_tiles = step.tiles;
    args.scratch = view_;
    require(attend(args, step.batch, stream_));
  }

  uint32_t out_stride() const { return world_.width() + 8; }

  Attended run(const TestStep& step, const Queries& q, uint32_t first_row = 0) {
    const DeviceArray<uint16_t> out(size_t{step.batch.rows} * out_stride());
    cudaDeviceSynchronize();
    launch(step, q.values.data() + size_t{first_row} * q.stride, q.stride, out.data());
    wait();
    return {out.read(), out_stride()};
  }

  void wait() const {
    const cudaError_t finished = cudaStreamSynchronize(stream_);
    if (finished != cudaSuccess) fail(__FILE__, __LINE__, cudaGetErrorString(finished));
  }

  static void require(const Status& status) {
    if (!status.is_ok()) fail(__FILE__, __LINE__, status.message());
  }

 private:
  const KvWorld& world_;
  DeviceArray<uint8_t> scratch_;
  AttentionScratch view_;
  cudaStream_t stream_ = nullptr;
};

inline std::vector<double> reference_rows(const KvWorld& world,
                                          const TestStep& step,
                                          const Queries& q) {
  const DeviceArray<uint64_t> starts(world.starts);
  const DeviceArray<double> out(size_t{step.batch.rows} * world.width());
  const ReferenceArgs args = {q.values.data(),
                              world.keys.data(),
                              world.values.data(),
                              starts.data(),
                              out.data(),
                              world.shape,
                              q.stride};
  reference_attention<<<dim3(step.batch.rows, world.shape.heads), 32>>>(args, step.batch);
  cudaDeviceSynchronize();
  return out.read();
}

}  // namespace sluice::check
