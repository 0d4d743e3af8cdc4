// Reads what Linux says in /proc and /sys; elsewhere, half of the physical memory.
#include "engine/available_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace sluice {
namespace {

std::optional<uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  // "max" (no limit) is no number.
  if (!(file >> value)) return std::nullopt;
  return value;
}

std::optional<uint64_t> machine_bytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string name; file >> name;) {
    uint64_t kib = 0;
    if (name == "MemAvailable:" && file >> kib) return kib * 1024;
    file.ignore(256, '\n');
  }
#ifdef _SC_PHYS_PAGES
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page_bytes > 0) {
    return static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes) / 2;
  }
#endif
  return std::nullopt;
}

std::optional<uint64_t> left_of(const std::string& limit_file, const std::string& used_file) {
  const auto limit = read_number(limit_file);
  const auto used = read_number(used_file);
  if (!limit || !used) return std::nullopt;
  return *limit - std::min(*limit, *used);
}

// Version 2 at this process's own group and at the root that a container sees; then version 1.
std::optional<uint64_t> group_bytes() {
  std::ifstream file("/proc/self/cgroup");
  std::optional<uint64_t> least;
  const auto consider = [&least](const std::optional<uint64_t>& bytes) {
    if (bytes) least = std::min(least.value_or(*bytes), *bytes);
  };
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("0::")) continue;
    const std::string folder = "/sys/fs/cgroup" + line.substr(3);
    consider(left_of(folder + "/memory.max", folder + "/memory.current"));
  }
  consider(left_of("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"));
  const std::string first = "/sys/fs/cgroup/memory/memory.";
  consider(left_of(first + "limit_in_bytes", first + "usage_in_bytes"));
  return least;
}

}  // namespace

uint64_t available_memory_bytes() {
  const uint64_t machine = machine_bytes().value_or(0);
  const auto group = group_bytes();
  return group ? std::min(machine, *group) : machine;
}

}  // namespace sluice
