// The backend that runs on a GPU lives in a shared object of its own, engine_cuda.so beside the
// addon: without it, or without a device, driver or library, the engine runs on the CPU and says
// why. The object is never unloaded: its backends' code is in it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/backend.h"

namespace sluice {

// What `sluice doctor` prints of one thing that was looked for.
struct DeviceFinding {
  std::string name;  // "driver", "device", "cuBLASLt", ...
  bool usable = false;
  std::string text;  // what was found, or why it is not used
};

// One device's state now; below 0: it does not say.
struct DeviceGauges {
  double utilisation_percent = -1;
  double memory_used_bytes = -1;
  double memory_total_bytes = -1;
  double temperature_celsius = -1;
  double power_watts = -1;
};

inline constexpr uint32_t kDeviceEngineVersion = 1;

// Changes with the types that cross to the shared object: one built from other sources is refused.
constexpr uint64_t device_interface_id() {
  uint64_t id = 1469598103934665603ull;
  for (const uint64_t size : {sizeof(LoadOptions),
                              sizeof(BackendInfo),
                              sizeof(BatchSequence),
                              sizeof(SamplingArgs),
                              sizeof(SequenceResult),
                              sizeof(DeviceFinding),
                              sizeof(DeviceGauges)}) {
    id = (id ^ size) * 1099511628211ull;
  }
  return id;
}

// What engine_backend_v1() of the shared object returns.
struct DeviceEngine {
  uint32_t version = 0;
  uint64_t interface_id = 0;
  Status (*load)(const LoadOptions& options, std::unique_ptr<Backend>* backend) = nullptr;
  void (*find)(std::vector<DeviceFinding>* findings) = nullptr;
  // One entry a device; empty where the driver's management library is missing.
  void (*read_gauges)(std::vector<DeviceGauges>* gauges) = nullptr;
};

enum class DeviceWish { kAuto, kCpu, kCuda };

// The CPU's backend or the device's. kAuto takes the device where it runs this model, else the CPU,
// and `note` says why in one line; kCuda fails instead.
Status load_backend(DeviceWish wish,
                    const LoadOptions& options,
                    std::unique_ptr<Backend>* backend,
                    std::string* note);

std::vector<DeviceFinding> find_devices();
std::vector<DeviceGauges> read_device_gauges();

}  // namespace sluice
