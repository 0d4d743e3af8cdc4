// How fast a checkpoint comes to the device, beside what bounds it: the disk (the same files read
// by as many threads, dropped from the page cache first), memory (read again) and the bus (copies
// from pinned memory).
//
//   load_bench FOLDER
//
// One JSON object.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/cuda/cuda_backend.h"
#include "runtime/cuda/device.h"
#include "runtime/thread_pool.h"

namespace sluice::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kReaders = 8;  // as the loader has
constexpr uint64_t kPieceBytes = 16 << 20;
constexpr uint64_t kBusBytes = 512 << 20;
constexpr int kBusCopies = 8;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::string> weight_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path().string());
  }
  return files;
}

// From the page cache; what was just written is first brought to the disk.
void drop(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    const int fd = open(file.c_str(), O_RDONLY);
    SLUICE_CHECK(fd >= 0);
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
  }
}

// Bytes a second of reading everything into memory that is thrown away.
double read_rate(const std::vector<std::string>& files) {
  struct Piece {
    int fd;
    uint64_t offset;
  };
  std::vector<Piece> pieces;
  std::vector<int> open_files;
  uint64_t total = 0;
  for (const std::string& file : files) {
    const int fd = open(file.c_str(), O_RDONLY);
    SLUICE_CHECK(fd >= 0);
    open_files.push_back(fd);
    const uint64_t bytes = std::filesystem::file_size(file);
    total += bytes;
    for (uint64_t at = 0; at < bytes; at += kPieceBytes) pieces.push_back({fd, at});
  }
  std::vector<std::vector<uint8_t>> buffers(kReaders, std::vector<uint8_t>(kPieceBytes));
  ThreadPool pool(kReaders);
  const auto start = Clock::now();
  pool.run(static_cast<uint32_t>(pieces.size()), 1, [&](WorkRange part, uint32_t worker) {
    for (uint32_t i = part.begin; i < part.end; ++i) {
      const auto offset = static_cast<off_t>(pieces[i].offset);
      SLUICE_CHECK(pread(pieces[i].fd, buffers[worker].data(), kPieceBytes, offset) > 0);
    }
  });
  const double seconds = seconds_since(start);
  for (const int fd : open_files) close(fd);
  return static_cast<double>(total) / seconds;
}

Status bus_rate(double* bytes_per_second) {
  DeviceInfo info;
  SLUICE_RETURN_IF_ERROR(open_device(&info));
  Stream stream;
  PinnedBuffer host;
  DeviceBuffer device;
  SLUICE_RETURN_IF_ERROR(Stream::open(&stream));
  SLUICE_RETURN_IF_ERROR(PinnedBuffer::allocate(kBusBytes, &host));
  SLUICE_RETURN_IF_ERROR(DeviceBuffer::allocate(kBusBytes, &device));
  SLUICE_RETURN_IF_ERROR(copy_to_device(device.data(), host.data(), kBusBytes, stream.get()));
  SLUICE_RETURN_IF_ERROR(wait_for(stream.get()));
  const auto start = Clock::now();
  for (int i = 0; i < kBusCopies; ++i) {
    SLUICE_RETURN_IF_ERROR(copy_to_device(device.data(), host.data(), kBusBytes, stream.get()));
  }
  SLUICE_RETURN_IF_ERROR(wait_for(stream.get()));
  *bytes_per_second = kBusCopies * static_cast<double>(kBusBytes) / seconds_since(start);
  return Status::ok();
}

struct Load {
  double seconds = 0;
  uint64_t reports = 0;  // of progress
};

Status load(const std::string& folder, Load* result) {
  LoadOptions options;
  options.folder = folder;
  std::atomic<uint64_t> reports{0};
  options.progress = [&](uint64_t, uint64_t) { ++reports; };
  std::unique_ptr<Backend> backend;
  const auto start = Clock::now();
  SLUICE_RETURN_IF_ERROR(load_cuda_backend(options, &backend));
  *result = {seconds_since(start), reports};
  return Status::ok();
}

Status run(const std::string& folder) {
  const std::vector<std::string> files = weight_files(folder);
  uint64_t bytes = 0;
  for (const std::string& file : files) bytes += std::filesystem::file_size(file);
  double bus = 0;
  SLUICE_RETURN_IF_ERROR(bus_rate(&bus));
  drop(files);
  const double disk = read_rate(files);
  const double memory = read_rate(files);
  Load cached;
  SLUICE_RETURN_IF_ERROR(load(folder, &cached));
  drop(files);
  Load cold;
  SLUICE_RETURN_IF_ERROR(load(folder, &cold));
  const auto rate = [&](const Load& one) { return static_cast<double>(bytes) / one.seconds; };
  std::printf(
      "{\"bytes\":%llu,\"disk_per_second\":%.4g,\"memory_per_second\":%.4g,"
      "\"bus_per_second\":%.4g,\"cold_seconds\":%.3f,\"cold_per_second\":%.4g,"
      "\"cached_seconds\":%.3f,\"cached_per_second\":%.4g,\"progress_reports\":%llu}\n",
      static_cast<unsigned long long>(bytes),
      disk,
      memory,
      bus,
      cold.seconds,
      rate(cold),
      cached.seconds,
      rate(cached),
      static_cast<unsigned long long>(cached.reports));
  return Status::ok();
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: load_bench FOLDER\n");
    return 2;
  }
  const sluice::Status status = sluice::bench::run(argv[1]);
  if (!status.is_ok()) std::printf("FAILED: %s\n", status.message().c_str());
  return status.is_ok() ? 0 : 1;
}
