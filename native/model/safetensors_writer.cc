// The header is written at once, the data by position.
#include "model/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice {
namespace {

// The header ends on a multiple of this, so that readers may map the data as words.
constexpr size_t kHeaderAlign = 8;

uint64_t dtype_bytes(const std::string& dtype) {
  if (dtype == "I8") return 1;
  return dtype == "F16" ? 2 : 4;
}

Status failed(const std::string& path, const char* what) {
  return {StatusCode::kIo, path + ": cannot " + what + ": " + std::strerror(errno)};
}

}  // namespace

SafetensorsWriter::~SafetensorsWriter() {
  if (file_ >= 0) ::close(file_);
}

Status SafetensorsWriter::open(const std::string& path, const std::vector<NewTensor>& tensors) {
  SLUICE_CHECK(file_ < 0);
  path_ = path;
  std::string header = R"({"__metadata__":{"format":"pt"})";
  uint64_t at = 0;
  for (const NewTensor& tensor : tensors) {
    uint64_t bytes = dtype_bytes(tensor.dtype);
    std::string shape;
    for (const uint64_t size : tensor.shape) {
      bytes *= size;
      shape += (shape.empty() ? "" : ",") + std::to_string(size);
    }
    header += ",\"" + tensor.name + "\":{\"dtype\":\"" + tensor.dtype + "\",\"shape\":[" + shape +
              "],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(at + bytes) + "]}";
    SLUICE_CHECK(places_.emplace(tensor.name, Place{at, bytes, 0}).second);
    at += bytes;
  }
  header += "}";
  header.resize((header.size() + kHeaderAlign - 1) / kHeaderAlign * kHeaderAlign, ' ');
  const uint64_t data = sizeof(uint64_t) + header.size();
  for (auto& [name, place] : places_) place.begin += data;
  bytes_ = data + at;
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file_ < 0) return failed(path_, "be made");
  const uint64_t size = header.size();
  uint8_t size_bytes[sizeof(size)];
  for (size_t i = 0; i < sizeof(size); ++i) size_bytes[i] = static_cast<uint8_t>(size >> (8 * i));
  SLUICE_RETURN_IF_ERROR(write_at(0, size_bytes));
  return write_at(sizeof(size), {reinterpret_cast<const uint8_t*>(header.data()), header.size()});
}

Status SafetensorsWriter::write(const std::string& name,
                                uint64_t offset,
                                std::span<const uint8_t> bytes) {
  const auto found = places_.find(name);
  SLUICE_CHECK(found != places_.end());
  Place& place = found->second;
  SLUICE_CHECK(offset + bytes.size() <= place.bytes);
  place.written += bytes.size();
  return write_at(place.begin + offset, bytes);
}

Status SafetensorsWriter::write_at(uint64_t at, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return failed(path_, "be written");
    at += static_cast<uint64_t>(wrote);
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
  return Status::ok();
}

Status SafetensorsWriter::finish() {
  for (const auto& [name, place] : places_) SLUICE_CHECK_EQ(place.written, place.bytes);
  const int synced = ::fsync(file_);
  const int closed = ::close(file_);
  file_ = -1;
  return synced == 0 && closed == 0 ? Status::ok() : failed(path_, "be written");
}

}  // namespace sluice
