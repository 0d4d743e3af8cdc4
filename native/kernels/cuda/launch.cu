// Whether kernels may overlap: asked of the device and of the environment once.
#include <cstdlib>
#include <string_view>

#include "kernels/cuda/launch.cuh"

namespace sluice {
namespace {

bool decide() {
  const char* wish = std::getenv("SLUICE_PDL");
  if (wish != nullptr && std::string_view(wish) == "0") return false;
  int device = 0;
  int major = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         major >= 9;
}

}  // namespace

bool pdl_enabled() {
  static const bool enabled = decide();
  return enabled;
}

}  // namespace sluice
