// From a run's arguments to a launch of wide_kernel: tiles by rows.
#pragma once

#include "kernels/cuda/strip_launch.cuh"
#include "kernels/cuda/wide_kernel.cuh"
#include "kernels/cuda/wide_linear.h"

namespace sluice {

template <typename Unit, int kTiles, int kBlocks>
Status launch_wide(const StripParameters& p, DeviceStream stream) {
  const auto kernel = wide_kernel<Unit, kTiles, kBlocks>;
  const bool in_sequence = p.rows > kWideSplitRowsMax;
  const uint32_t exchanges = in_sequence && p.shape.splits > 1 ? 2 : 1;
  static const cudaError_t raised =
      cudaFuncSetAttribute(kernel,
                           cudaFuncAttributeMaxDynamicSharedMemorySize,
                           kWideRingBytes<Unit, kTiles> + 2 * kWideExchangeBytes<kTiles>);
  SLUICE_RETURN_IF_CUDA(raised);
  LaunchShape shape;
  shape.grid = dim3((p.rows + kTiles * 8 - 1) / (kTiles * 8),
                    (p.outputs + kWideOutputs - 1) / kWideOutputs,
                    in_sequence ? 1 : p.shape.splits);
  shape.block = dim3(kWideThreads);
  shape.shared_bytes = kWideRingBytes<Unit, kTiles> + exchanges * kWideExchangeBytes<kTiles>;
  return launch_kernel(kernel, shape, stream, p, in_sequence);
}

template <typename Unit>
Status launch_wides(const StripParameters& p, DeviceStream stream) {
  if (p.rows <= 8) return launch_wide<Unit, 1, 2>(p, stream);
  if (p.rows <= 16) return launch_wide<Unit, 2, 2>(p, stream);
  if (p.rows <= 32) return launch_wide < Unit, 4, Unit::kGroups == 0 ? 2 : 1 > (p, stream);
  return launch_wide<Unit, 8, 1>(p, stream);
}

Status launch_bf16_wide(const StripParameters& p, DeviceStream stream);
Status launch_int8_wide(const StripParameters& p, DeviceStream stream);
Status launch_int4_wide(const StripParameters& p, uint32_t group_inputs, DeviceStream stream);

}  // namespace sluice
