// What attention's files share: how the scratch is cut up, and the launchers behind attend().
#pragma once

#include <vector_types.h>

#include <cmath>

#include "kernels/cuda/attention.h"

namespace sluice {

// Query heads of one KV head that fit the 16 rows of the tensor cores' instruction.
inline constexpr uint32_t kFastGroupMax = 16;

// A decode row's work: items in order of rows, each times the KV heads.
struct DecodeRow {
  int32_t item_begin;     // items before this row
  int32_t partial_begin;  // its first piece among the partial sums; -1: one item does the whole row
  int32_t tokens;         // that it sees, itself included; 0: a padded row
  int32_t slot;
};
static_assert(sizeof(DecodeRow) == 16);

//   | rows + 1 DecodeRow | arrivals [rows, kv_heads] | states [pieces, kv_heads, group] |
//   | sums [pieces, kv_heads, group, head_dim] |
struct AttentionScratchView {
  DecodeRow* rows = nullptr;
  uint32_t* arrivals = nullptr;  // 0 between launches
  float2* states = nullptr;      // highest score, total weight
  float* sums = nullptr;
  uint32_t pieces_max = 0;
};

AttentionScratchView view_scratch(const AttentionScratch& scratch,
                                  const PagedAttentionShape& shape);

inline uint32_t group_of(const PagedAttentionShape& shape) {
  return shape.heads / shape.kv_heads;
}

inline constexpr uint32_t kPlainHeadDimMax = 256;

// Decode rows of one step.
inline constexpr uint32_t kDecodeRowsMax = 1024;

// What scores are multiplied with, so that 2^x stands for e^x: log2(e) / sqrt(head_dim).
inline float score_scale(uint32_t head_dim) {
  return static_cast<float>(1.4426950408889634 / std::sqrt(static_cast<double>(head_dim)));
}

// What the kernels' shapes follow from; read once.
struct AttentionDevice {
  uint32_t processors = 0;
  uint32_t shared_per_processor = 0;
  uint32_t shared_per_block = 0;
};
const AttentionDevice& attention_device();

// Shared memory that heads of 256 need for prefill: rows, and two tiles of keys and of values.
inline constexpr uint32_t kWideSharedBytes = 161 * 1024;

inline bool is_fast(const PagedAttentionShape& shape) {
  const uint32_t dim = shape.head_dim;
  if (group_of(shape) > kFastGroupMax) return false;
  if (dim == 256) return attention_device().shared_per_block >= kWideSharedBytes;
  return dim == 64 || dim == 80 || dim == 96 || dim == 128;
}

// Blocks of the decode kernel on one processor, and of its grid, which does not depend on the
// batch. Where rows are few each block lays them out for itself, before it waits for the kernels
// ahead, and leaves at once where nothing is for it: the next GEMM's blocks take its place and
// start to fetch their weights.
inline constexpr uint32_t kBlocksPerProcessor = 2;
inline uint32_t decode_blocks() {
  return attention_device().processors * kBlocksPerProcessor;
}
inline constexpr uint32_t kFewHeads = 64;  // KV heads of all rows
inline bool is_few(const PagedAttentionShape& shape, uint32_t rows) {
  return rows * shape.kv_heads <= kFewHeads;
}

// Rows of at most this many pieces are not cut: meeting costs more than two pieces in turn.
inline constexpr int32_t kWholeLeast = 2;
// Where rows do not fill the blocks evenly, a whole row is at most this part of an even share.
inline constexpr int32_t kShares = 3;

Status prepare_decode(const PagedAttentionShape& shape);
Status prepare_prefill(const PagedAttentionShape& shape);
Status decode_attention(const PagedAttentionArgs& args, const StepBatch& step, DeviceStream stream);
Status prefill_attention(const PagedAttentionArgs& args,
                         const StepBatch& step,
                         DeviceStream stream);
// Any shape, decode and prefill rows alike, without tensor cores.
Status plain_attention(const PagedAttentionArgs& args, const StepBatch& step, DeviceStream stream);

// Calls f with the head size as a compile-time constant.
template <typename F>
Status with_head_dim(uint32_t head_dim, F f) {
  switch (head_dim) {
    case 64:
      return f.template operator()<64>();
    case 80:
      return f.template operator()<80>();
    case 96:
      return f.template operator()<96>();
    case 128:
      return f.template operator()<128>();
    default:
      return f.template operator()<256>();
  }
}

}  // namespace sluice
