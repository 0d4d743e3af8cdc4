// The few calls of NVML that the gauges need, with their own prototypes. Opened once a process and
// kept: initialising takes tens of milliseconds.
#include "runtime/cuda/nvml.h"

#include <dlfcn.h>

#include <array>

namespace sluice {
namespace {

constexpr int kSuccess = 0;
constexpr unsigned kTemperatureOfChip = 0;

using NvmlDevice = struct NvmlDeviceRecord*;

struct NvmlUtilisation {
  unsigned gpu;
  unsigned memory;
};

struct NvmlMemory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

struct Nvml {
  int (*init)() = nullptr;
  int (*version)(char*, unsigned) = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*device)(unsigned, NvmlDevice*) = nullptr;
  int (*utilisation)(NvmlDevice, NvmlUtilisation*) = nullptr;
  int (*memory)(NvmlDevice, NvmlMemory*) = nullptr;
  int (*temperature)(NvmlDevice, unsigned, unsigned*) = nullptr;
  int (*power)(NvmlDevice, unsigned*) = nullptr;
  std::string why_not;
};

template <typename Function>
bool resolve(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

Nvml open() {
  Nvml nvml;
  void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    nvml.why_not = dlerror();
    return nvml;
  }
  const bool whole = resolve(library, "nvmlInit_v2", &nvml.init) &&
                     resolve(library, "nvmlSystemGetNVMLVersion", &nvml.version) &&
                     resolve(library, "nvmlDeviceGetCount_v2", &nvml.count) &&
                     resolve(library, "nvmlDeviceGetHandleByIndex_v2", &nvml.device) &&
                     resolve(library, "nvmlDeviceGetUtilizationRates", &nvml.utilisation) &&
                     resolve(library, "nvmlDeviceGetMemoryInfo", &nvml.memory) &&
                     resolve(library, "nvmlDeviceGetTemperature", &nvml.temperature) &&
                     resolve(library, "nvmlDeviceGetPowerUsage", &nvml.power);
  if (!whole) {
    nvml.why_not = "libnvidia-ml.so.1 lacks what is needed";
  } else if (const int code = nvml.init(); code != kSuccess) {
    nvml.why_not = "nvmlInit failed with " + std::to_string(code);
  }
  return nvml;
}

const Nvml& nvml() {
  static const Nvml once = open();
  return once;
}

DeviceReading read(NvmlDevice device) {
  DeviceReading reading;
  NvmlUtilisation utilisation = {};
  if (nvml().utilisation(device, &utilisation) == kSuccess) {
    reading.utilisation_percent = utilisation.gpu;
  }
  NvmlMemory memory = {};
  if (nvml().memory(device, &memory) == kSuccess) {
    reading.memory_used_bytes = static_cast<double>(memory.used);
    reading.memory_total_bytes = static_cast<double>(memory.total);
  }
  unsigned value = 0;
  if (nvml().temperature(device, kTemperatureOfChip, &value) == kSuccess) {
    reading.temperature_celsius = value;
  }
  if (nvml().power(device, &value) == kSuccess) reading.power_watts = value / 1000.0;
  return reading;
}

}  // namespace

Status read_devices(std::vector<DeviceReading>* readings) {
  readings->clear();
  if (!nvml().why_not.empty()) return {StatusCode::kUnsupported, nvml().why_not};
  unsigned count = 0;
  if (nvml().count(&count) != kSuccess) return {StatusCode::kLost, "NVML does not answer"};
  for (unsigned i = 0; i < count; ++i) {
    NvmlDevice device = nullptr;
    if (nvml().device(i, &device) == kSuccess) readings->push_back(read(device));
  }
  return Status::ok();
}

std::string describe_nvml(bool* usable) {
  *usable = nvml().why_not.empty();
  if (!*usable) return nvml().why_not;
  std::array<char, 80> version = {};
  if (nvml().version(version.data(), version.size()) != kSuccess) return "NVML";
  return std::string("NVML ") + version.data();
}

}  // namespace sluice
