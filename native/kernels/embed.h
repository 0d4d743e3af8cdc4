// One row of the embedding matrix as floats. The matrix lies as matmul wants it, so that a tied
// embedding and output head are one copy; a row is then a walk along one strip, which for a few
// tokens a step is nothing beside the layers. It has no vector form.
#pragma once

#include <cstdint>

#include "kernels/matrix.h"

namespace sluice {

struct EmbedArgs {
  const Matrix* embedding = nullptr;  // outputs: tokens, inputs: hidden
  uint32_t token = 0;
  float* out = nullptr;  // [hidden] f32
};

void embed(const EmbedArgs& args);

}  // namespace sluice
