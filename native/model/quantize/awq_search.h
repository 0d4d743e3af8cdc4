// Activation-aware rounding (AWQ): before a layer's weights are rounded, inputs that carry large
// activations are scaled up and the operation before them down by as much, which changes nothing
// but where the grid is fine; then each group's range is cut where that loses least. Both are
// searched by what the layer computes over calibration rows.
#pragma once

#include "model/quantize/layer_forward.h"

namespace sluice {

struct AwqArgs {
  LayerForward* forward = nullptr;
  uint32_t group_inputs = 0;
  bool has_shared_heads = false;  // several query heads a KV head: v and o are then not scaled
  const Kernels* kernels = nullptr;
  ThreadPool* pool = nullptr;
};

// The norms that take up the inverse of a scale; changed in place.
struct LayerNorms {
  std::vector<float> input;
  std::vector<float> mlp;
};

// Runs the layer over all rows with the weights as they are, and leaves the residual stream as they
// make it; `floats` and `norms` come out scaled and cut, to be rounded.
void search_layer(const AwqArgs& args, LayerFloats* floats, LayerNorms* norms);

}  // namespace sluice
