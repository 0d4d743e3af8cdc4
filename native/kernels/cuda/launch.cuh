// How kernels are launched and how they follow each other. Every kernel of the engine is launched
// with programmatic dependent launch on sm_90 and later: its blocks may start while the kernel
// before it drains. So each kernel executes pdl_wait() before it reads or writes anything that
// another kernel of a step touches (weights, constants and the step's packet may be read before it:
// the packet's copy is complete before the step's first kernel starts), also a kernel
// that reads nothing of its predecessor: the order is not transitive through one that does not
// wait. pdl_launch_dependents() lets the next kernel's blocks start; it promises nothing about
// memory, so it may stand anywhere.
#pragma once

#include <cuda_runtime.h>

#include "runtime/cuda/error.h"
#include "runtime/cuda/stream.h"

namespace sluice {

__device__ __forceinline__ void pdl_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ __forceinline__ void pdl_launch_dependents() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" :::);
#endif
}

struct LaunchShape {
  dim3 grid;
  dim3 block;
  uint32_t shared_bytes = 0;
  uint32_t cluster = 1;  // blocks along x; sm_90 and later
};

// False in SLUICE_PDL=0's process and on chips before sm_90; defined in launch.cu.
bool pdl_enabled();

// Kernels that need more than 48 KiB of shared memory raise their own limit once, before capture.
template <typename... Parameters, typename... Arguments>
Status launch_kernel(void (*kernel)(Parameters...),
                     const LaunchShape& shape,
                     DeviceStream stream,
                     Arguments... arguments) {
  cudaLaunchAttribute attributes[2];
  unsigned count = 0;
  if (pdl_enabled()) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count++].val.clusterDim = {shape.cluster, 1, 1};
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  return SLUICE_DEVICE_STATUS(
      cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

}  // namespace sluice
