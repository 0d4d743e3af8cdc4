// How fast the linear layers are: microseconds, GB/s of stored weights, and the share of what plain
// reading reaches on this device in the same run. Each figure is the median of replays of a graph
// over rotating weights that together are several times the L2; the last lines are whole models,
// all their matrices in order with a small kernel before each, as a decode step has them.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

#include "kernels/cuda/linear.h"
#include "kernels/cuda/strip_launch.cuh"
#include "kernels/cuda/weights.h"
#include "kernels/cuda/wide_linear.h"
#include "runtime/cuda/cublaslt.h"

namespace sluice {
namespace {

constexpr uint64_t kRotatingBytes = 512u << 20;
constexpr uint32_t kRowsMax = 2048;
constexpr int kReplays = 15;

#define REQUIRE_CUDA(expression)                                                  \
  do {                                                                            \
    const cudaError_t result = (expression);                                      \
    if (result != cudaSuccess) {                                                  \
      std::printf("%s:%d: %s\n", __FILE__, __LINE__, cudaGetErrorString(result)); \
      std::exit(1);                                                               \
    }                                                                             \
  } while (0)

void require(const Status& status) {
  if (status.is_ok()) return;
  std::printf("%s\n", status.message().c_str());
  std::exit(1);
}

__device__ uint32_t mix(uint64_t i) {
  uint64_t z = i * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  return static_cast<uint32_t>(z ^ (z >> 31));
}

// (random & keep) | set: bf16 values near 0.01, or any bits.
__global__ void fill_kernel(uint32_t* words, uint64_t count, uint32_t keep, uint32_t set) {
  const uint64_t stride = uint64_t{gridDim.x} * blockDim.x;
  for (uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    words[i] = (mix(i) & keep) | set;
  }
}

void* filled(uint64_t bytes, uint32_t keep, uint32_t set) {
  void* data = nullptr;
  REQUIRE_CUDA(cudaMalloc(&data, bytes + 256));
  fill_kernel<<<2048, 256>>>(static_cast<uint32_t*>(data), bytes / 4 + 1, keep, set);
  REQUIRE_CUDA(cudaDeviceSynchronize());
  return data;
}

__global__ void read_kernel(const uint4* from, uint64_t count, uint32_t* out) {
  uint32_t sum = 0;
  const uint64_t stride = uint64_t{gridDim.x} * blockDim.x;
  uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (; i + 3 * stride < count; i += 4 * stride) {
    const uint4 a = load_weights16(from + i);
    const uint4 b = load_weights16(from + i + stride);
    const uint4 c = load_weights16(from + i + 2 * stride);
    const uint4 d = load_weights16(from + i + 3 * stride);
    sum += a.x ^ b.y ^ c.z ^ d.w;
  }
  if (sum == 0x12345678) *out = sum;
}

// Stands for a norm or an attention between two layers: waits, reads a row, writes a row.
__global__ void between_kernel(const uint16_t* from, uint16_t* to, uint32_t width) {
  pdl_launch_dependents();
  pdl_wait();
  const uint64_t at = uint64_t{blockIdx.x} * width;
  for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) to[at + i] = from[at + i];
}

class Bench {
 public:
  Bench() { REQUIRE_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }

  cudaStream_t stream() const { return stream_; }

  // Median microseconds of one replay of what `record` launches.
  double time_us(const std::function<void()>& record) {
    record();
    REQUIRE_CUDA(cudaStreamSynchronize(stream_));
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    REQUIRE_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    record();
    REQUIRE_CUDA(cudaStreamEndCapture(stream_, &graph));
    REQUIRE_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    cudaEvent_t begin = nullptr;
    cudaEvent_t end = nullptr;
    REQUIRE_CUDA(cudaEventCreate(&begin));
    REQUIRE_CUDA(cudaEventCreate(&end));
    std::vector<float> times;
    for (int i = 0; i < kReplays; ++i) {
      REQUIRE_CUDA(cudaEventRecord(begin, stream_));
      REQUIRE_CUDA(cudaGraphLaunch(executable, stream_));
      REQUIRE_CUDA(cudaEventRecord(end, stream_));
      REQUIRE_CUDA(cudaStreamSynchronize(stream_));
      float ms = 0;
      REQUIRE_CUDA(cudaEventElapsedTime(&ms, begin, end));
      times.push_back(ms);
    }
    std::sort(times.begin(), times.end());
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    return times[times.size() / 2] * 1e3;
  }

 private:
  cudaStream_t stream_ = nullptr;
};

struct Size {
  uint32_t inputs;
  uint32_t outputs;
  bool is_gated;
};

const Size kLarge[] = {{4096, 6144, false},
                       {4096, 4096, false},
                       {4096, 28672, true},
                       {14336, 4096, false},
                       {4096, 128256, false}};
const Size kSmall[] = {{2048, 2560, false},
                       {2048, 2048, false},
                       {2048, 11264, true},
                       {5632, 2048, false},
                       {2048, 32000, false}};

class Rotating {
 public:
  Rotating(DeviceFormat format, const Size& size, uint32_t copies) {
    matrix_.format = format;
    matrix_.inputs = size.inputs;
    matrix_.outputs = size.outputs;
    matrix_.group_inputs = 128;
    const uint64_t bytes = device_weight_bytes(matrix_);
    const uint64_t scales = device_scale_bytes(matrix_);
    if (copies == 0) copies = static_cast<uint32_t>(kRotatingBytes / bytes + 2);
    for (uint32_t i = 0; i < copies; ++i) {
      const bool is_bf16 = format == DeviceFormat::kBf16;
      DeviceMatrix copy = matrix_;
      copy.weights = is_bf16 ? filled(bytes, 0x807F807F, 0x3C003C00) : filled(bytes, ~0u, 0);
      if (!is_bf16) copy.scales = filled(scales, 0x0000000F, 0x3A000000);
      copies_.push_back(copy);
    }
    bytes_ = bytes + scales;
  }
  ~Rotating() {
    for (const DeviceMatrix& copy : copies_) {
      cudaFree(const_cast<void*>(copy.weights));
      cudaFree(const_cast<void*>(copy.scales));
    }
  }

  const std::vector<DeviceMatrix>& copies() const { return copies_; }
  uint64_t bytes() const { return bytes_; }

 private:
  DeviceMatrix matrix_;
  std::vector<DeviceMatrix> copies_;
  uint64_t bytes_ = 0;
};

struct Device {
  Device() {
    LinearOptions options;
    options.has_quantised = true;
    options.rows_max = kRowsMax;
    options.outputs_max = 128256;
    options.inputs_max = 14336;
    options.gate_outputs_max = 28672;
    const uint64_t bytes = LinearLayers::scratch_bytes(options);
    REQUIRE_CUDA(cudaMalloc(&scratch, bytes));
    REQUIRE_CUDA(cudaMemset(scratch, 0, bytes));
    require(LinearLayers::open(options, scratch, &layers));
    x = static_cast<uint16_t*>(filled(uint64_t{kRowsMax} * 28672 * 2, 0x807F807F, 0x3F003F00));
    out = static_cast<uint8_t*>(filled(uint64_t{kRowsMax} * 128256 * 4, 0, 0));
    constexpr uint64_t kBytes = 8ull << 30;
    void* large = filled(kBytes, ~0u, 0);
    const double us = bench.time_us([&] {
      read_kernel<<<multiprocessors() * 8, 512, 0, bench.stream()>>>(
          static_cast<const uint4*>(large), kBytes / 16, reinterpret_cast<uint32_t*>(out));
    });
    read_gb_s = kBytes / us / 1e3;
    cudaFree(large);
    std::printf("reading 8 GiB: %.0f GB/s; %s\n", read_gb_s, layers->blas());
  }

  LinearArgs args(const DeviceMatrix& matrix, uint32_t rows, bool is_gated) const {
    LinearArgs args;
    args.matrix = &matrix;
    args.x = x;
    args.x_stride = matrix.inputs;
    args.rows = rows;
    args.output = is_gated                 ? LinearOutput::kSiluMul
                  : matrix.outputs > 30000 ? LinearOutput::kF32
                                           : LinearOutput::kBf16;
    args.out = out;
    args.out_stride = is_gated ? matrix.outputs / 2 : matrix.outputs;
    return args;
  }

  void report(const char* what, const Size& size, uint32_t rows, double us, uint64_t bytes) {
    const double gb_s = bytes / us / 1e3;
    std::printf("%-14s %6u -> %6u rows %4u: %8.2f us %6.0f GB/s %5.1f %%\n",
                what,
                size.inputs,
                size.outputs,
                rows,
                us,
                gb_s,
                100 * gb_s / read_gb_s);
    std::fflush(stdout);
  }

  Bench bench;
  std::unique_ptr<LinearLayers> layers;
  void* scratch = nullptr;
  uint16_t* x = nullptr;
  uint8_t* out = nullptr;
  double read_gb_s = 0;
};

const char* name_of(DeviceFormat format) {
  return format == DeviceFormat::kBf16 ? "bf16" : format == DeviceFormat::kInt4 ? "int4" : "int8";
}

void time_layers(Device* device, DeviceFormat format, const Size& size) {
  const Rotating rotating(format, size, 0);
  const auto count = static_cast<double>(rotating.copies().size());
  for (const uint32_t rows : {1u, 4u, 8u, 16u, 17u, 32u, 64u, 128u, 256u, 512u, 2048u}) {
    const double us = device->bench.time_us([&] {
      for (const DeviceMatrix& copy : rotating.copies()) {
        require(
            device->layers->run(device->args(copy, rows, size.is_gated), device->bench.stream()));
      }
    });
    device->report(name_of(format), size, rows, us / count, rotating.bytes());
  }
}

// The wide kernel where it is not the choice: all of deterministic mode.
void time_wide(Device* device, DeviceFormat format, const Size& size) {
  const Rotating rotating(format, size, 0);
  const StripScratch scratch{static_cast<uint8_t*>(device->scratch) + (64u << 20),
                             static_cast<uint32_t*>(device->scratch)};
  REQUIRE_CUDA(cudaMemset(device->scratch, 0, 1 << 20));
  for (const uint32_t rows : {1u, 8u, 16u, 32u, 64u, 256u, 2048u}) {
    const double us = device->bench.time_us([&] {
      for (const DeviceMatrix& copy : rotating.copies()) {
        require(
            wide_linear(device->args(copy, rows, size.is_gated), scratch, device->bench.stream()));
      }
    });
    char what[32];
    std::snprintf(what, sizeof(what), "%s wide", name_of(format));
    device->report(
        what, size, rows, us / static_cast<double>(rotating.copies().size()), rotating.bytes());
  }
}

// Few rows through cuBLASLt: what the strip kernels have to beat.
void time_blas(Device* device, const Size& size) {
  std::unique_ptr<CublasLt> blas;
  if (!CublasLt::open(&blas).is_ok()) return;
  const Rotating rotating(DeviceFormat::kBf16, size, 0);
  for (const uint32_t rows : {1u, 8u, 16u}) {
    GemmShape shape;
    shape.outputs = size.outputs;
    shape.inputs = size.inputs;
    shape.x_stride = size.inputs;
    shape.y_stride = size.outputs;
    std::unique_ptr<Gemm> gemm;
    require(blas->plan(shape, rows, device->scratch, &gemm));
    const double us = device->bench.time_us([&] {
      for (const DeviceMatrix& copy : rotating.copies()) {
        require(gemm->run({device->x, copy.weights, nullptr, device->out, rows},
                          device->bench.stream()));
      }
    });
    device->report("cuBLASLt bf16",
                   size,
                   rows,
                   us / static_cast<double>(rotating.copies().size()),
                   rotating.bytes());
  }
}

// All layers of a model with a small kernel before each, as a decode step has them.
void time_model(Device* device, DeviceFormat format, const Size* sizes, uint32_t layers) {
  std::vector<std::unique_ptr<Rotating>> parts;
  uint64_t bytes = 0;
  for (int i = 0; i < 5; ++i) {
    const DeviceFormat part_format = i == 4 ? DeviceFormat::kBf16 : format;
    parts.push_back(std::make_unique<Rotating>(part_format, sizes[i], i == 4 ? 1 : layers));
    bytes += parts.back()->bytes() * (i == 4 ? 1 : layers);
  }
  for (const uint32_t rows : {1u, 4u, 8u, 16u, 32u, 64u}) {
    const auto one = [&](int part, uint32_t copy) {
      LaunchShape shape;
      shape.grid = dim3(rows);
      shape.block = dim3(512);
      require(launch_kernel(between_kernel,
                            shape,
                            device->bench.stream(),
                            device->x,
                            device->x + uint64_t{kRowsMax} * 14336,
                            sizes[0].inputs));
      require(
          device->layers->run(device->args(parts[part]->copies()[copy], rows, sizes[part].is_gated),
                              device->bench.stream()));
    };
    const double us = device->bench.time_us([&] {
      for (uint32_t layer = 0; layer < layers; ++layer) {
        for (int part = 0; part < 4; ++part) one(part, layer);
      }
      one(4, 0);
    });
    char what[64];
    std::snprintf(what, sizeof(what), "%s %ux", name_of(format), layers);
    device->report(what, {sizes[0].inputs, sizes[2].outputs, false}, rows, us, bytes);
  }
}

}  // namespace
}  // namespace sluice

int main() {
  using namespace sluice;
  Device device;
  for (int i = 0; i < 4; ++i) time_wide(&device, DeviceFormat::kBf16, kLarge[i]);
  for (int i = 0; i < 4; ++i) time_wide(&device, DeviceFormat::kInt4, kLarge[i]);
  for (const auto* sizes : {kLarge, kSmall}) {
    for (int i = 0; i < 5; ++i) {
      time_layers(&device, DeviceFormat::kBf16, sizes[i]);
      time_blas(&device, sizes[i]);
      if (i < 4) time_layers(&device, DeviceFormat::kInt4, sizes[i]);
    }
  }
  time_layers(&device, DeviceFormat::kInt8, kLarge[0]);
  time_model(&device, DeviceFormat::kBf16, kLarge, 32);
  time_model(&device, DeviceFormat::kInt4, kLarge, 32);
  time_model(&device, DeviceFormat::kBf16, kSmall, 22);
  return 0;
}
