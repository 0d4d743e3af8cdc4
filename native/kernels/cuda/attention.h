// Causal attention of a step's rows to their sequences' paged cache, on the device.
//
// Decode rows are cut into pieces of kKvPieceTokens positions that many blocks work on; prefill
// rows are worked on in tiles of (token, head). Both walk the same pieces in the same order with
// the same instructions, so the bits of a row depend on its position and on what is in the cache
// only: not on the batch, the chunking of the prompt, graphs, or where the blocks lie. That holds
// in every mode, so there is no switch for it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/place.h"
#include "kernels/cuda/step.h"
#include "runtime/cuda/stream.h"
#include "runtime/status.h"

namespace sluice {

// Positions of one piece: each has its own softmax, and pieces are merged in order from 0.
inline constexpr uint32_t kKvPieceTokens = 256;

struct PagedAttentionShape {
  uint32_t heads = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;  // multiples of 8 up to 256; 64, 80, 96, 128 and 256 are fast
};

struct AttentionScratch {
  void* data = nullptr;
  size_t bytes = 0;
  uint32_t decode_rows_max = 0;
};

struct PagedAttentionArgs {
  PagedAttentionShape shape;
  const uint16_t* q = nullptr;  // [rows, q_stride] bf16; head h at + h * head_dim, rotated
  uint32_t q_stride = 0;        // elements; a multiple of 8
  uint16_t* out = nullptr;      // [rows, out_stride] bf16; rows of slot -1 are left alone
  uint32_t out_stride = 0;
  const uint16_t* keys = nullptr;    // this layer's pool, as kv_layout.cuh draws it
  const uint16_t* values = nullptr;  // this layer's pool
  // The sum of prefill_tiles() over the sequences after the decode ones; the host knows it.
  uint32_t prefill_tiles = 0;
  AttentionScratch scratch;
  // With a qkv, decode rows have not been placed: the decode kernel does it, and q is not read for
  // them. Only where attention_places().
  PlaceArgs place;
};

// Whether the decode kernel can place rows itself, with the bits of place().
bool attention_places(const PagedAttentionShape& shape);

// Once, before any capture: raises the kernels' shared memory limits; says what is not supported.
Status prepare_attention(const PagedAttentionShape& shape);

// Scratch of attention for at most so many decode rows of at most so many tokens in all; zeroed
// once when it is taken. More tokens in flight (shared prefixes count each time) are right, but
// their longest rows are not split.
size_t attention_scratch_bytes(const PagedAttentionShape& shape,
                               uint32_t decode_rows_max,
                               uint64_t tokens_max);

// Once a step, before its first layer: lays out the decode rows' pieces from seq_context.
Status plan_attention(const StepBatch& step,
                      const PagedAttentionShape& shape,
                      const AttentionScratch& scratch,
                      DeviceStream stream);

// Tiles of one prefill sequence of so many query tokens.
uint32_t prefill_tiles(uint32_t query_tokens, const PagedAttentionShape& shape);

// One layer: the decode rows and the prefill rows of the step, one launch each where there are any.
Status attend(const PagedAttentionArgs& args, const StepBatch& step, DeviceStream stream);

}  // namespace sluice
