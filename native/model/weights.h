// A model's weights in memory: what the forward pass reads, and nothing else. All of it points into
// one arena, which the loader fills once.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/matrix.h"
#include "model/config.h"
#include "runtime/large_buffer.h"

namespace sluice {

// Matrices that read the same input, computed as one; each writes its own columns of the output.
struct LinearPart {
  Matrix matrix;
  uint32_t column = 0;  // a multiple of kStripOutputs, so padding never meets another part
};

struct Linear {
  std::vector<LinearPart> parts;

  uint32_t strips() const;
  uint32_t columns() const { return strips() * kStripOutputs; }
};

struct LayerWeights {
  const float* input_norm = nullptr;  // [hidden]
  Linear qkv;                         // parts q, k, v
  const float* query_norm = nullptr;  // [head_dim], or null
  const float* key_norm = nullptr;    // [head_dim], or null
  Linear output;                      // one part
  const float* mlp_norm = nullptr;    // [hidden]
  Linear gate_up;                     // parts gate, up
  Linear down;                        // one part
};

struct ModelWeights {
  Matrix embedding;
  Linear head;  // one part; the embedding itself where they are tied
  std::vector<LayerWeights> layers;
  const float* final_norm = nullptr;  // [hidden]
  LargeBuffer arena;
};

}  // namespace sluice
