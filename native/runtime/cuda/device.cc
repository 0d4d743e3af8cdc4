// CUDA's runtime, call by call.
#include "runtime/cuda/device.h"

#include <cuda_runtime_api.h>

#include "runtime/cuda/error.h"

namespace sluice {

Status open_device(DeviceInfo* info) {
  SLUICE_RETURN_IF_CUDA(cudaDriverGetVersion(&info->driver_version));
  SLUICE_RETURN_IF_CUDA(cudaRuntimeGetVersion(&info->runtime_version));
  if (info->driver_version == 0) {
    return {StatusCode::kUnsupported, "device: no NVIDIA driver is installed"};
  }
  int count = 0;
  SLUICE_RETURN_IF_CUDA(cudaGetDeviceCount(&count));
  if (count == 0) return {StatusCode::kUnsupported, "device: none is visible"};
  SLUICE_RETURN_IF_CUDA(cudaSetDevice(0));
  cudaDeviceProp properties = {};
  SLUICE_RETURN_IF_CUDA(cudaGetDeviceProperties(&properties, 0));
  info->name = properties.name;
  info->major = static_cast<uint32_t>(properties.major);
  info->minor = static_cast<uint32_t>(properties.minor);
  info->processors = static_cast<uint32_t>(properties.multiProcessorCount);
  info->memory_bytes = properties.totalGlobalMem;
  return Status::ok();
}

Status free_device_bytes(uint64_t* bytes) {
  size_t free = 0;
  size_t total = 0;
  SLUICE_RETURN_IF_CUDA(cudaMemGetInfo(&free, &total));
  *bytes = free;
  return Status::ok();
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ != nullptr) cudaFree(data_);
}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Status DeviceBuffer::allocate(uint64_t bytes, DeviceBuffer* buffer) {
  DeviceBuffer taken;
  if (bytes == 0) return Status::ok();
  void* data = nullptr;
  SLUICE_RETURN_IF_CUDA(cudaMalloc(&data, bytes));
  taken.data_ = static_cast<uint8_t*>(data);
  taken.bytes_ = bytes;
  SLUICE_RETURN_IF_CUDA(cudaMemset(data, 0, bytes));
  // The stream that zeroes it waits for nobody's, nor they for it.
  SLUICE_RETURN_IF_CUDA(cudaDeviceSynchronize());
  *buffer = std::move(taken);
  return Status::ok();
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Status PinnedBuffer::allocate(uint64_t bytes, PinnedBuffer* buffer) {
  PinnedBuffer taken;
  void* data = nullptr;
  SLUICE_RETURN_IF_CUDA(cudaHostAlloc(&data, bytes, cudaHostAllocDefault));
  taken.data_ = static_cast<uint8_t*>(data);
  taken.bytes_ = bytes;
  *buffer = std::move(taken);
  return Status::ok();
}

Status pin_host(void* host, uint64_t bytes, void** device) {
  SLUICE_RETURN_IF_CUDA(cudaHostRegister(host, bytes, cudaHostRegisterMapped));
  const cudaError_t found = cudaHostGetDevicePointer(device, host, 0);
  if (found == cudaSuccess) return Status::ok();
  cudaHostUnregister(host);
  return SLUICE_DEVICE_STATUS(found);
}

void unpin_host(void* host) {
  cudaHostUnregister(host);
}

Stream::~Stream() {
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(stream_, other.stream_);
  return *this;
}

Status Stream::open(Stream* stream) {
  Stream opened;
  SLUICE_RETURN_IF_CUDA(cudaStreamCreateWithFlags(&opened.stream_, cudaStreamNonBlocking));
  *stream = std::move(opened);
  return Status::ok();
}

Status wait_for(DeviceStream stream) {
  return SLUICE_DEVICE_STATUS(cudaStreamSynchronize(stream));
}

Status copy_to_device(void* device, const void* host, uint64_t bytes, DeviceStream stream) {
  return SLUICE_DEVICE_STATUS(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream));
}

Status copy_to_host(void* host, const void* device, uint64_t bytes, DeviceStream stream) {
  return SLUICE_DEVICE_STATUS(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream));
}

Status copy_on_device(void* to, const void* from, uint64_t bytes, DeviceStream stream) {
  return SLUICE_DEVICE_STATUS(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream));
}

Status zero_on_device(void* device, uint64_t bytes, DeviceStream stream) {
  return SLUICE_DEVICE_STATUS(cudaMemsetAsync(device, 0, bytes, stream));
}

DeviceEvent::~DeviceEvent() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}

DeviceEvent& DeviceEvent::operator=(DeviceEvent&& other) noexcept {
  std::swap(event_, other.event_);
  return *this;
}

Status DeviceEvent::open(bool timed, DeviceEvent* event) {
  DeviceEvent opened;
  const unsigned flags = timed ? cudaEventDefault : cudaEventDisableTiming;
  SLUICE_RETURN_IF_CUDA(cudaEventCreateWithFlags(&opened.event_, flags));
  *event = std::move(opened);
  return Status::ok();
}

Status DeviceEvent::record(DeviceStream stream) const {
  return SLUICE_DEVICE_STATUS(cudaEventRecord(event_, stream));
}

Status DeviceEvent::wait() const {
  return SLUICE_DEVICE_STATUS(cudaEventSynchronize(event_));
}

Status DeviceEvent::hold(DeviceStream stream) const {
  return SLUICE_DEVICE_STATUS(cudaStreamWaitEvent(stream, event_, 0));
}

Status DeviceEvent::milliseconds_since(const DeviceEvent& earlier, float* milliseconds) const {
  return SLUICE_DEVICE_STATUS(cudaEventElapsedTime(milliseconds, earlier.event_, event_));
}

DeviceGraph::~DeviceGraph() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
}

DeviceGraph& DeviceGraph::operator=(DeviceGraph&& other) noexcept {
  std::swap(graph_, other.graph_);
  return *this;
}

Status DeviceGraph::begin_capture(DeviceStream stream) {
  return SLUICE_DEVICE_STATUS(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
}

Status DeviceGraph::end_capture(DeviceStream stream, DeviceGraph* graph) {
  cudaGraph_t captured = nullptr;
  SLUICE_RETURN_IF_CUDA(cudaStreamEndCapture(stream, &captured));
  DeviceGraph made;
  const cudaError_t instantiated = cudaGraphInstantiate(&made.graph_, captured, 0);
  cudaGraphDestroy(captured);
  SLUICE_RETURN_IF_CUDA(instantiated);
  const Status uploaded = SLUICE_DEVICE_STATUS(cudaGraphUpload(made.graph_, stream));
  *graph = std::move(made);
  return uploaded;
}

Status DeviceGraph::launch(DeviceStream stream) const {
  return SLUICE_DEVICE_STATUS(cudaGraphLaunch(graph_, stream));
}

}  // namespace sluice
