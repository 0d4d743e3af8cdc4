// The residual stream's kernels: each adds what a layer computed to the stream, and gives its
// RMSNorm. One block a row, sums in float32 in an order that follows from the width alone, so a
// row's result is the same in every batch. Widths are multiples of 8, up to kNormWidthMax.
#pragma once

#include <cstdint>

#include "kernels/cuda/step.h"
#include "runtime/cuda/stream.h"
#include "runtime/status.h"

namespace sluice {

inline constexpr uint32_t kNormWidthMax = 1u << 16;

struct NormArgs {
  uint16_t* residual = nullptr;     // [rows, width] bf16
  const uint16_t* delta = nullptr;  // [rows, width] bf16: added to the residual first
  const float* weight = nullptr;    // [width]
  uint16_t* out = nullptr;          // [rows, width] bf16
  uint32_t rows = 0;
  uint32_t width = 0;
  float epsilon = 0;
};

// residual += delta, rounded to bf16 as it is stored; out = norm(residual).
Status add_norm(const NormArgs& args, DeviceStream stream);

// out[i] = norm(residual[picked[i]] + delta[picked[i]]) for i < rows; the residual is only read.
// A negative index gives a row of zeros.
Status pick_norm(const NormArgs& args, const int32_t* picked, DeviceStream stream);

struct EmbedArgs {
  const uint16_t* table = nullptr;  // [vocab, width] bf16
  uint32_t vocab = 0;
  const int32_t* last_token = nullptr;  // [sequences_max] by slot
};

// residual[r] = table[token of row r]; out = norm(residual). Ids past the vocabulary and padded
// rows take row 0 of the table.
Status embed_norm(const EmbedArgs& embed,
                  const StepBatch& step,
                  const NormArgs& args,
                  DeviceStream stream);

}  // namespace sluice
