// Launches the strip kernels.
#pragma once

#include "kernels/cuda/linear.h"
#include "kernels/cuda/strip_shape.h"

namespace sluice {

// Rows whose activations fit into shared memory whole.
inline constexpr uint32_t kStripRowsMax = 16;

struct StripScratch {
  void* partials = nullptr;
  uint32_t* arrivals = nullptr;  // zero between runs
};

// Of one run with up to kStripRowsMax rows.
uint64_t strip_partial_bytes(const StripShape& shape);
uint64_t strip_arrival_bytes(const StripShape& shape);

// What fits into a block of the device at hand; at most kStripRowsMax.
uint32_t strip_rows_max(const DeviceMatrix& matrix);

// At most strip_rows_max() rows.
Status strip_linear(const LinearArgs& args, const StripScratch& scratch, DeviceStream stream);

}  // namespace sluice
