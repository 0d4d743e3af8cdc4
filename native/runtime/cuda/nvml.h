// The driver's management library (libnvidia-ml.so.1), found at run time: what devices are doing
// now. Without it nothing is known, and nothing fails.
#pragma once

#include <string>
#include <vector>

#include "runtime/status.h"

namespace sluice {

// Below 0: it does not say.
struct DeviceReading {
  double utilisation_percent = -1;
  double memory_used_bytes = -1;
  double memory_total_bytes = -1;
  double temperature_celsius = -1;
  double power_watts = -1;
};

// One entry a device; a failed status says why there are none.
Status read_devices(std::vector<DeviceReading>* readings);

// "NVML 13.580.126", or why there is none.
std::string describe_nvml(bool* usable);

}  // namespace sluice
