// y = x Wᵀ (+ bias) for the rows of a step, W in bf16, int4 with groups, or int8 by output. Which
// kernel runs follows from the format and from the number of rows: up to 16 the strip kernel, up to
// 48 of int4 and int8 without a widened copy the wide kernel, above cuBLASLt.
//
// In deterministic mode every number of rows takes the wide kernel, so that the bits of a row
// depend on W and on that row of x alone. Otherwise this holds among 1 .. 16 rows; above, equal
// numbers of rows give equal bits.
//
// Nothing here allocates device memory after open(); every run may be captured in a graph once the
// same number of rows ran outside of one. Weights are read before the wait for earlier kernels of
// the stream: placing them has to be complete, the stream synchronised, before the first run.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/cuda/stream.h"
#include "runtime/status.h"

namespace sluice {

enum class DeviceFormat { kBf16, kInt4, kInt8 };

// A weight matrix on the device, placed by weights.h. Activations and biases are bf16.
struct DeviceMatrix {
  DeviceFormat format = DeviceFormat::kBf16;
  uint32_t outputs = 0;
  uint32_t inputs = 0;             // a multiple of 8; int4: of 32; int8: of 16
  uint32_t group_inputs = 0;       // int4: 32, 64 or 128
  const void* weights = nullptr;   // bf16: [outputs, inputs]; others: see weights.h
  const void* scales = nullptr;    // int4, int8: see weights.h
  const uint16_t* bias = nullptr;  // [outputs] bf16, or null
  // int4, int8: a copy in bf16 [outputs, inputs] for many rows, made by widen_weights(), or null:
  // then they are widened slice by slice in each run.
  const uint16_t* widened = nullptr;
};

enum class LinearOutput {
  kBf16,     // out is bf16 [rows, outputs]
  kF32,      // out is float32 [rows, outputs]: logits
  kSiluMul,  // W's rows are gate and up, interleaved by 8; out is bf16 [rows, outputs / 2]
};

struct LinearArgs {
  const DeviceMatrix* matrix = nullptr;
  const uint16_t* x = nullptr;  // bf16 [rows, x_stride], 16-byte aligned
  uint32_t x_stride = 0;        // elements from row to row, a multiple of 8
  uint32_t rows = 0;
  LinearOutput output = LinearOutput::kBf16;
  void* out = nullptr;      // 16-byte aligned
  uint32_t out_stride = 0;  // elements from row to row
};

struct LinearOptions {
  bool deterministic = false;
  bool has_quantised = false;     // any int4 or int8 matrix
  uint32_t rows_max = 0;          // of any run
  uint32_t outputs_max = 0;       // of any matrix
  uint32_t inputs_max = 0;        // of any matrix
  uint32_t gate_outputs_max = 0;  // of a kSiluMul matrix
};

// One for a device and a stream: runs share its scratch, so they must not overlap.
class LinearLayers {
 public:
  // Device memory that open() wants, zeroed: count it in the budget first.
  static uint64_t scratch_bytes(const LinearOptions& options);
  // Loads cuBLASLt. Without it the strip kernels serve every number of rows, and `blas()` says why.
  static Status open(const LinearOptions& options,
                     void* scratch,
                     std::unique_ptr<LinearLayers>* layers);
  virtual ~LinearLayers() = default;

  virtual Status run(const LinearArgs& args, DeviceStream stream) = 0;

  // "cuBLASLt 13.0.2 from <file>", or why there is none.
  virtual const char* blas() const = 0;
};

}  // namespace sluice
