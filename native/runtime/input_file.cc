// POSIX files.
#include "runtime/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

// Larger reads are cut by the kernel anyway.
constexpr size_t kReadBytesMax = size_t{1} << 30;

Status io_error(const std::string& path, int error) {
  return {StatusCode::kIo, path + ": " + std::strerror(error)};
}

}  // namespace

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept {
  *this = std::move(other);
}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(bytes_, other.bytes_);
  std::swap(path_, other.path_);
  return *this;
}

Status InputFile::open(const std::string& path, InputFile* file) {
  InputFile opened;
  // Without O_NONBLOCK opening a named pipe would wait for its writer.
  opened.descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (opened.descriptor_ < 0) return io_error(path, errno);
  struct stat info {};
  if (::fstat(opened.descriptor_, &info) != 0) return io_error(path, errno);
  if (!S_ISREG(info.st_mode)) return {StatusCode::kInvalid, path + " is not a regular file"};
  opened.bytes_ = static_cast<uint64_t>(info.st_size);
  opened.path_ = path;
  *file = std::move(opened);
  return Status::ok();
}

Status InputFile::read(uint64_t offset, std::span<uint8_t> out) const {
  while (!out.empty()) {
    const size_t wanted = std::min(out.size(), kReadBytesMax);
    const ssize_t got = ::pread(descriptor_, out.data(), wanted, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error(path_, errno);
    if (got == 0) {
      return {StatusCode::kDamaged,
              path_ + " ends at " + std::to_string(offset) + ", " + std::to_string(out.size()) +
                  " bytes early"};
    }
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return Status::ok();
}

Status read_text(const std::string& path, uint64_t bytes_max, std::string* text) {
  InputFile file;
  SLUICE_RETURN_IF_ERROR(InputFile::open(path, &file));
  if (file.bytes() > bytes_max) {
    return {StatusCode::kTooLarge,
            path + " has " + std::to_string(file.bytes()) + " bytes; at most " +
                std::to_string(bytes_max) + " are read"};
  }
  text->resize(file.bytes());
  return file.read(0, {reinterpret_cast<uint8_t*>(text->data()), text->size()});
}

}  // namespace sluice
