// A file that is read by position. It is not mapped: a file that shrinks while it is read is then a
// failed status and not a dead process, and what is read is repacked anyway.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "runtime/status.h"

namespace sluice {

class InputFile {
 public:
  InputFile() = default;
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;

  // Regular files only. A failed status names the path.
  static Status open(const std::string& path, InputFile* file);

  uint64_t bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

  // Fills `out` from `offset`; may be called by several threads at once.
  Status read(uint64_t offset, std::span<uint8_t> out) const;

 private:
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
  std::string path_;
};

// The whole of a small text file.
Status read_text(const std::string& path, uint64_t bytes_max, std::string* text);

}  // namespace sluice
