// Finding and opening engine_cuda.so: SLUICE_ENGINE_CUDA names it, else it lies beside this code.
#include "model/device_backend.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace sluice {
namespace {

constexpr char kFileName[] = "engine_cuda.so";
constexpr char kPathVariable[] = "SLUICE_ENGINE_CUDA";
constexpr char kSymbol[] = "engine_backend_v1";

std::string path_of_engine() {
  if (const char* path = std::getenv(kPathVariable); path != nullptr && *path != '\0') return path;
  Dl_info info = {};
  if (dladdr(reinterpret_cast<const void*>(&path_of_engine), &info) == 0) return kFileName;
  return (std::filesystem::path(info.dli_fname).parent_path() / kFileName).string();
}

struct Opened {
  const DeviceEngine* engine = nullptr;
  std::string why_not;
};

Opened open_engine() {
  const std::string path = path_of_engine();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return {nullptr, "it is not built (" + path + " is missing)"};
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) return {nullptr, dlerror()};
  using Entry = const DeviceEngine* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, kSymbol));
  if (entry == nullptr) return {nullptr, path + " has no " + kSymbol};
  const DeviceEngine* engine = entry();
  if (engine->version != kDeviceEngineVersion || engine->interface_id != device_interface_id()) {
    return {nullptr, path + " was built from other sources than the addon"};
  }
  return {engine, ""};
}

// Opened once a process.
const Opened& opened() {
  static const Opened once = open_engine();
  return once;
}

// The device cannot run it, but the CPU may.
bool may_fall_back(const Status& status) {
  return status.code() == StatusCode::kUnsupported;
}

}  // namespace

Status load_backend(DeviceWish wish,
                    const LoadOptions& options,
                    std::unique_ptr<Backend>* backend,
                    std::string* note) {
  note->clear();
  if (wish == DeviceWish::kCpu) return load_cpu_backend(options, backend);
  Status status(StatusCode::kUnsupported, "the CUDA engine: " + opened().why_not);
  if (opened().engine != nullptr) status = opened().engine->load(options, backend);
  if (status.is_ok() || wish == DeviceWish::kCuda || !may_fall_back(status)) return status;
  *note = "on the CPU, no GPU is used: " + status.message();
  return load_cpu_backend(options, backend);
}

std::vector<DeviceFinding> find_devices() {
  if (opened().engine == nullptr) return {{"engine", false, opened().why_not}};
  std::vector<DeviceFinding> findings{{"engine", true, path_of_engine()}};
  opened().engine->find(&findings);
  return findings;
}

std::vector<DeviceGauges> read_device_gauges() {
  std::vector<DeviceGauges> gauges;
  if (opened().engine != nullptr) opened().engine->read_gauges(&gauges);
  return gauges;
}

}  // namespace sluice
