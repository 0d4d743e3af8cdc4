// Device memory, pinned host memory, the stream, events and graphs, as values that free themselves,
// without CUDA's headers. Every call is on the process's one device. Sizes come from files and
// settings, so a failed allocation is a status.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "runtime/cuda/stream.h"
#include "runtime/status.h"

struct CUevent_st;
struct CUgraphExec_st;

namespace sluice {

struct DeviceInfo {
  std::string name;
  uint32_t major = 0;
  uint32_t minor = 0;
  uint32_t processors = 0;
  uint64_t memory_bytes = 0;
  int driver_version = 0;  // 13000: 13.0
  int runtime_version = 0;
};

// Takes the first device that the environment shows; fails (kUnsupported) where there is none, or
// no driver, or one whose kernels are not built in.
Status open_device(DeviceInfo* info);

Status free_device_bytes(uint64_t* bytes);

// Move-only; empty until allocated.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  // Zeroed.
  static Status allocate(uint64_t bytes, DeviceBuffer* buffer);

  uint8_t* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// Host memory that the device copies from and to without a detour.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept { *this = std::move(other); }
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;

  static Status allocate(uint64_t bytes, PinnedBuffer* buffer);

  uint8_t* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// Makes memory that somebody else took visible to the device; `device` is its address there.
Status pin_host(void* host, uint64_t bytes, void** device);
void unpin_host(void* host);

class Stream {
 public:
  Stream() = default;
  ~Stream();
  Stream(Stream&& other) noexcept { *this = std::move(other); }
  Stream& operator=(Stream&& other) noexcept;

  static Status open(Stream* stream);

  DeviceStream get() const { return stream_; }

 private:
  DeviceStream stream_ = nullptr;
};

// Until all that was launched on it is done.
Status wait_for(DeviceStream stream);

Status copy_to_device(void* device, const void* host, uint64_t bytes, DeviceStream stream);
Status copy_to_host(void* host, const void* device, uint64_t bytes, DeviceStream stream);
Status copy_on_device(void* to, const void* from, uint64_t bytes, DeviceStream stream);
Status zero_on_device(void* device, uint64_t bytes, DeviceStream stream);

class DeviceEvent {
 public:
  DeviceEvent() = default;
  ~DeviceEvent();
  DeviceEvent(DeviceEvent&& other) noexcept { *this = std::move(other); }
  DeviceEvent& operator=(DeviceEvent&& other) noexcept;

  // Timed events cost more; only measurements want them.
  static Status open(bool timed, DeviceEvent* event);

  Status record(DeviceStream stream) const;
  // Returns at once where it was never recorded.
  Status wait() const;
  // Makes the stream's later work wait for it.
  Status hold(DeviceStream stream) const;
  Status milliseconds_since(const DeviceEvent& earlier, float* milliseconds) const;

 private:
  CUevent_st* event_ = nullptr;
};

// A captured sequence of launches that one call starts again.
class DeviceGraph {
 public:
  DeviceGraph() = default;
  ~DeviceGraph();
  DeviceGraph(DeviceGraph&& other) noexcept { *this = std::move(other); }
  DeviceGraph& operator=(DeviceGraph&& other) noexcept;

  // What is launched on the stream between the two is captured and not run. end_capture is called
  // also where a launch failed.
  static Status begin_capture(DeviceStream stream);
  static Status end_capture(DeviceStream stream, DeviceGraph* graph);

  bool is_empty() const { return graph_ == nullptr; }
  Status launch(DeviceStream stream) const;

 private:
  CUgraphExec_st* graph_ = nullptr;
};

}  // namespace sluice
