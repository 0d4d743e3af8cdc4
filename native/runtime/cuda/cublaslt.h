// cuBLASLt, the matrix library of the device, opened at run time: nothing here is linked, and its
// absence is a Status. The prototypes are our own (its documented ABI); one plan holds what a GEMM
// of one shape needs, so that a run allocates nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/cuda/stream.h"
#include "runtime/status.h"

namespace sluice {

// NVIDIA's advice for Hopper.
inline constexpr uint64_t kBlasWorkspaceBytes = 32u << 20;

// y[rows, outputs] = x[rows, inputs] wᵀ, bf16 with float32 sums; y is bf16 or float32. Rows of
// each matrix begin `stride` elements apart.
struct GemmShape {
  uint32_t outputs = 0;
  uint32_t inputs = 0;
  uint32_t x_stride = 0;
  uint32_t y_stride = 0;
  bool is_f32 = false;
  bool has_bias = false;  // bf16

  bool operator==(const GemmShape&) const = default;
};

struct GemmOperands {
  const void* x = nullptr;
  const void* w = nullptr;
  const void* bias = nullptr;
  void* y = nullptr;
  uint32_t rows = 0;
};

class Gemm {
 public:
  virtual ~Gemm() = default;
  // With the plan's rows or fewer.
  virtual Status run(const GemmOperands& operands, DeviceStream stream) = 0;
};

class CublasLt {
 public:
  // Looks at SLUICE_CUBLASLT (a file), beside this library, by name, and where CUDA and Python keep
  // it. kUnsupported where it is nowhere.
  static Status open(std::unique_ptr<CublasLt>* library);
  virtual ~CublasLt() = default;

  // `workspace` is kBlasWorkspaceBytes of device memory, shared by all plans of a stream.
  virtual Status plan(const GemmShape& shape,
                      uint32_t rows,
                      void* workspace,
                      std::unique_ptr<Gemm>* gemm) = 0;

  // "cuBLASLt 13.1.0 from libcublasLt.so.13"
  virtual const std::string& description() const = 0;
};

}  // namespace sluice
