// From CUDA's error codes to Status. A device that failed in a kernel or fell off the bus is lost
// for this process (kLost): the worker ends with it, and the log gives its work to another. Running
// out of device memory is kTooLarge, a machine without device or driver kUnsupported.
#pragma once

#include <cuda_runtime_api.h>

#include "runtime/status.h"

namespace sluice {

// `what` is the call as it stands in the source.
Status device_status(cudaError_t error, const char* what, const char* file, int line);

}  // namespace sluice

#define SLUICE_DEVICE_STATUS(expression) \
  ::sluice::device_status((expression), #expression, __FILE__, __LINE__)

#define SLUICE_RETURN_IF_CUDA(expression)                                           \
  do {                                                                              \
    const cudaError_t cuda_result = (expression);                                   \
    if (cuda_result != cudaSuccess) {                                               \
      return ::sluice::device_status(cuda_result, #expression, __FILE__, __LINE__); \
    }                                                                               \
  } while (0)
