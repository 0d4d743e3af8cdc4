// Which of CUDA's errors a caller can act on.
#include "runtime/cuda/error.h"

#include <cstring>

namespace sluice {
namespace {

StatusCode code_of(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return StatusCode::kOk;
    case cudaErrorMemoryAllocation:
      return StatusCode::kTooLarge;
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorUnsupportedPtxVersion:
      return StatusCode::kUnsupported;
    default:
      return StatusCode::kLost;
  }
}

// Messages name the file inside the project, wherever it was built.
const char* short_file(const char* file) {
  const char* found = std::strstr(file, "native/");
  return found == nullptr ? file : found;
}

}  // namespace

Status device_status(cudaError_t error, const char* what, const char* file, int line) {
  if (error == cudaSuccess) return Status::ok();
  return {code_of(error),
          std::string("device: ") + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) +
              ") at " + short_file(file) + ":" + std::to_string(line) + ": " + what};
}

}  // namespace sluice
