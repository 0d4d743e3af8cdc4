// Between the q|k|v GEMM and attention: norms each head of q and k where the family asks for it,
// rotates them by their row's position, leaves q where it stands and writes k and v to the paged
// cache. Float32 inside, one rounding to bf16 at the end.
#pragma once

#include <cstdint>

#include "kernels/cuda/step.h"
#include "runtime/cuda/stream.h"
#include "runtime/status.h"

namespace sluice {

inline constexpr uint32_t kPlaceHeadDimMax = 256;

struct PlaceArgs {
  uint16_t* qkv = nullptr;            // [rows, q | k | v] bf16; q is changed in place
  uint16_t* keys = nullptr;           // this layer's pool, as kv_layout.cuh draws it
  uint16_t* values = nullptr;         // this layer's pool
  const float* rope = nullptr;        // [positions, head_dim / 2, cosine | sine]
  const float* query_norm = nullptr;  // [head_dim], or null
  const float* key_norm = nullptr;    // [head_dim], or null
  uint32_t heads = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;
  float epsilon = 0;
};

// Padded rows write nothing.
Status place(const PlaceArgs& args, const StepBatch& step, DeviceStream stream);

// table[position][i] = cosine, sine of position * frequencies[i]; the angle is rounded to float32
// first, as the models were trained with it.
struct RopeTableArgs {
  const float* frequencies = nullptr;  // [half]
  float* table = nullptr;              // [positions, half, 2]
  uint32_t half = 0;
  uint32_t positions = 0;
};
Status fill_rope_table(const RopeTableArgs& args, DeviceStream stream);

}  // namespace sluice
