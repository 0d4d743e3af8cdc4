// Lets index functions and packers compile for the device by nvcc and for the CPU by any compiler:
// the tests run the same lines that the kernels run.
#pragma once

#if defined(__CUDACC__)
#define SLUICE_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define SLUICE_HOST_DEVICE inline
#endif
