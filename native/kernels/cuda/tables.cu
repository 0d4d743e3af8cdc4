// One thread a change.
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tables.h"

namespace sluice {
namespace {

constexpr uint32_t kThreads = 128;

__global__ void change_tables_kernel(const TableChangesArgs args) {
  pdl_launch_dependents();
  pdl_wait();
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= *args.count) return;
  args.tables[args.changes[i].at] = args.changes[i].block;
}

}  // namespace

Status change_tables(const TableChangesArgs& args, DeviceStream stream) {
  if (args.capacity == 0) return Status::ok();
  const uint32_t blocks = (args.capacity + kThreads - 1) / kThreads;
  return launch_kernel(change_tables_kernel, {dim3(blocks), dim3(kThreads)}, stream, args);
}

}  // namespace sluice
