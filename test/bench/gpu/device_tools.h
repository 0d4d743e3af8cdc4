// What the engine's benchmark needs of the device beside the engine: made-up weights, and how fast
// this device reads and multiplies.
#pragma once

#include <cstdint>

#include "runtime/cuda/stream.h"
#include "runtime/status.h"

namespace sluice::bench {

// words[i] = (random & keep) | set.
struct WordFill {
  void* words = nullptr;
  uint64_t bytes = 0;
  uint32_t keep = 0;
  uint32_t set = 0;
};
Status fill_words(const WordFill& fill, DeviceStream stream);

Status fill_floats(float* values, uint64_t count, float value, DeviceStream stream);

// Bytes a second of reading 16 GiB; the best of a few runs.
Status measure_read(DeviceStream stream, double* bytes_per_second);

// Floating-point operations a second of a bf16 product of 8192 cubed by cuBLASLt.
Status measure_gemm(DeviceStream stream, double* flops);

}  // namespace sluice::bench
