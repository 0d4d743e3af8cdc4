// Launches the wide kernel: any number of rows.
#pragma once

#include "kernels/cuda/strip_linear.h"

namespace sluice {

// Up to these rows the splits of a matrix run side by side; above, one after another in a block.
inline constexpr uint32_t kWideSplitRowsMax = 64;

// Of any matrix; arrivals of one with so many outputs.
uint64_t wide_partial_bytes();
uint64_t wide_arrival_bytes(uint32_t outputs);

Status wide_linear(const LinearArgs& args, const StripScratch& scratch, DeviceStream stream);

}  // namespace sluice
