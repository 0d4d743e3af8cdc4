// Fills and ceilings; everything here is timed by events.
#include "device_tools.h"

#include <algorithm>
#include <memory>

#include "kernels/cuda/launch.cuh"
#include "runtime/cuda/cublaslt.h"
#include "runtime/cuda/device.h"

namespace sluice::bench {
namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kBlocks = 132 * 16;
constexpr uint64_t kReadBytes = 16ULL << 30;
constexpr uint32_t kCube = 8192;
constexpr int kRuns = 5;

__device__ uint32_t mix(uint64_t i) {
  uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<uint32_t>(z ^ (z >> 31));
}

__global__ void fill_words_kernel(uint32_t* words, uint64_t count, uint32_t keep, uint32_t set) {
  const uint64_t stride = uint64_t{gridDim.x} * blockDim.x;
  for (uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    words[i] = (mix(i) & keep) | set;
  }
}

__global__ void fill_floats_kernel(float* values, uint64_t count, float value) {
  const uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) values[i] = value;
}

__global__ void read_kernel(const uint4* from, uint64_t count, uint32_t* out) {
  uint32_t sum = 0;
  const uint64_t stride = uint64_t{gridDim.x} * blockDim.x;
  uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (; i + 3 * stride < count; i += 4 * stride) {
    const uint4 a = __ldcs(from + i);
    const uint4 b = __ldcs(from + i + stride);
    const uint4 c = __ldcs(from + i + 2 * stride);
    const uint4 d = __ldcs(from + i + 3 * stride);
    sum += a.x ^ b.y ^ c.z ^ d.w;
  }
  if (sum == 0x12345678) *out = sum;
}

template <typename Run>
Status best_ms(DeviceStream stream, const Run& run, float* best) {
  DeviceEvent begin;
  DeviceEvent end;
  SLUICE_RETURN_IF_ERROR(DeviceEvent::open(true, &begin));
  SLUICE_RETURN_IF_ERROR(DeviceEvent::open(true, &end));
  *best = 1e9f;
  for (int i = 0; i < kRuns; ++i) {
    SLUICE_RETURN_IF_ERROR(begin.record(stream));
    SLUICE_RETURN_IF_ERROR(run());
    SLUICE_RETURN_IF_ERROR(end.record(stream));
    SLUICE_RETURN_IF_ERROR(end.wait());
    float ms = 0;
    SLUICE_RETURN_IF_ERROR(end.milliseconds_since(begin, &ms));
    *best = std::min(*best, ms);
  }
  return Status::ok();
}

}  // namespace

Status fill_words(const WordFill& fill, DeviceStream stream) {
  fill_words_kernel<<<kBlocks, kThreads, 0, stream>>>(
      static_cast<uint32_t*>(fill.words), fill.bytes / 4, fill.keep, fill.set);
  return SLUICE_DEVICE_STATUS(cudaGetLastError());
}

Status fill_floats(float* values, uint64_t count, float value, DeviceStream stream) {
  const auto blocks = static_cast<uint32_t>((count + kThreads - 1) / kThreads);
  fill_floats_kernel<<<blocks, kThreads, 0, stream>>>(values, count, value);
  return SLUICE_DEVICE_STATUS(cudaGetLastError());
}

Status measure_read(DeviceStream stream, double* bytes_per_second) {
  DeviceBuffer data;
  SLUICE_RETURN_IF_ERROR(DeviceBuffer::allocate(kReadBytes, &data));
  SLUICE_RETURN_IF_ERROR(fill_words({data.data(), kReadBytes, ~0u, 0}, stream));
  float ms = 0;
  const auto run = [&] {
    read_kernel<<<kBlocks, kThreads, 0, stream>>>(reinterpret_cast<const uint4*>(data.data()),
                                                  kReadBytes / 16,
                                                  reinterpret_cast<uint32_t*>(data.data()));
    return SLUICE_DEVICE_STATUS(cudaGetLastError());
  };
  SLUICE_RETURN_IF_ERROR(best_ms(stream, run, &ms));
  *bytes_per_second = static_cast<double>(kReadBytes) / (ms * 1e-3);
  return Status::ok();
}

Status measure_gemm(DeviceStream stream, double* flops) {
  const uint64_t bytes = uint64_t{kCube} * kCube * 2;
  DeviceBuffer memory;
  SLUICE_RETURN_IF_ERROR(DeviceBuffer::allocate(3 * bytes + kBlasWorkspaceBytes, &memory));
  SLUICE_RETURN_IF_ERROR(fill_words({memory.data(), 2 * bytes, 0x807F807F, 0x3C003C00}, stream));
  std::unique_ptr<CublasLt> library;
  SLUICE_RETURN_IF_ERROR(CublasLt::open(&library));
  GemmShape shape;
  shape.outputs = shape.inputs = shape.x_stride = shape.y_stride = kCube;
  std::unique_ptr<Gemm> gemm;
  SLUICE_RETURN_IF_ERROR(library->plan(shape, kCube, memory.data() + 3 * bytes, &gemm));
  GemmOperands operands;
  operands.x = memory.data();
  operands.w = memory.data() + bytes;
  operands.y = memory.data() + 2 * bytes;
  operands.rows = kCube;
  float ms = 0;
  SLUICE_RETURN_IF_ERROR(best_ms(stream, [&] { return gemm->run(operands, stream); }, &ms));
  *flops = 2.0 * kCube * kCube * kCube / (ms * 1e-3);
  return Status::ok();
}

}  // namespace sluice::bench
