// Reads the affinity mask, the topology and the control groups of Linux.
#include "runtime/cpu_count.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace sluice {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Cores among the processors of the affinity mask; 0 where it cannot be told.
uint32_t affinity_cores() {
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 0;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const std::string name = std::to_string(cpu);
    const std::string siblings =
        first_line("/sys/devices/system/cpu/cpu" + name + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? name : siblings);
  }
  return static_cast<uint32_t>(cores.size());
#else
  return 0;
#endif
}

// Whole processors that "quota period" pays for; kThreadsMax where there is no limit.
uint32_t quota_cores(const std::string& quota, const std::string& period) {
  const double quota_us = std::strtod(quota.c_str(), nullptr);
  const double period_us = std::strtod(period.c_str(), nullptr);
  if (quota_us <= 0 || period_us <= 0) return kThreadsMax;
  const double cores = std::min(quota_us / period_us, static_cast<double>(kThreadsMax));
  return std::max(1u, static_cast<uint32_t>(cores));
}

// A group is bound by its own quota and by those of the groups above it.
uint32_t group_cores() {
  const std::string root = "/sys/fs/cgroup";
  uint32_t cores = quota_cores(first_line(root + "/cpu/cpu.cfs_quota_us"),
                               first_line(root + "/cpu/cpu.cfs_period_us"));
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  std::string path;
  while (std::getline(groups, line)) {
    if (line.starts_with("0::")) path = line.substr(3);
  }
  while (true) {
    const std::string limit = first_line(root + path + "/cpu.max");
    const size_t space = limit.find(' ');
    if (space != std::string::npos) {
      cores = std::min(cores, quota_cores(limit.substr(0, space), limit.substr(space + 1)));
    }
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return cores;
    path.resize(slash);
  }
}

}  // namespace

uint32_t usable_cores() {
  uint32_t cores = affinity_cores();
  if (cores == 0) cores = std::thread::hardware_concurrency();
  return std::clamp(std::min(cores, group_cores()), 1u, kThreadsMax);
}

}  // namespace sluice
