// The one symbol of engine_cuda.so.
#include <memory>

#include "model/cuda/cuda_backend.h"
#include "model/device_backend.h"
#include "runtime/cuda/cublaslt.h"
#include "runtime/cuda/nvml.h"

namespace sluice {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

void find(std::vector<DeviceFinding>* findings) {
  DeviceInfo info;
  const Status opened = open_device(&info);
  findings->push_back({"driver",
                       info.driver_version > 0,
                       info.driver_version > 0
                           ? "CUDA " + version_text(info.driver_version) + ", built with " +
                                 version_text(info.runtime_version)
                           : "none is installed"});
  findings->push_back({"device",
                       opened.is_ok(),
                       opened.is_ok() ? info.name + ", sm_" + std::to_string(info.major) +
                                            std::to_string(info.minor) + ", " +
                                            std::to_string(info.memory_bytes >> 30) + " GiB, " +
                                            std::to_string(info.processors) + " multiprocessors"
                                      : opened.message()});
  std::unique_ptr<CublasLt> blas;
  const Status found = CublasLt::open(&blas);
  findings->push_back(
      {"cuBLASLt", found.is_ok(), found.is_ok() ? blas->description() : found.message()});
  bool has_nvml = false;
  std::string nvml = describe_nvml(&has_nvml);
  findings->push_back({"NVML", has_nvml, std::move(nvml)});
  findings->push_back({"NCCL", false, "one device is used"});
}

void read_gauges(std::vector<DeviceGauges>* gauges) {
  std::vector<DeviceReading> readings;
  if (!read_devices(&readings).is_ok()) return;
  for (const DeviceReading& reading : readings) {
    gauges->push_back({reading.utilisation_percent,
                       reading.memory_used_bytes,
                       reading.memory_total_bytes,
                       reading.temperature_celsius,
                       reading.power_watts});
  }
}

constexpr DeviceEngine kEngine{
    kDeviceEngineVersion, device_interface_id(), load_cuda_backend, find, read_gauges};

}  // namespace
}  // namespace sluice

extern "C" __attribute__((visibility("default"))) const sluice::DeviceEngine* engine_backend_v1() {
  return &sluice::kEngine;
}
