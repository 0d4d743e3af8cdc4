// Writes one safetensors file: all names and shapes first, then each tensor's bytes in any order,
// as they become known. What was not written whole is no file: finish() says so.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/status.h"

namespace sluice {

struct NewTensor {
  std::string name;
  std::string dtype;  // "F16", "I32", "I8"
  std::vector<uint64_t> shape;
};

class SafetensorsWriter {
 public:
  SafetensorsWriter() = default;
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // Replaces a file that is there.
  Status open(const std::string& path, const std::vector<NewTensor>& tensors);

  // Bytes from `offset` of the tensor's data on.
  Status write(const std::string& name, uint64_t offset, std::span<const uint8_t> bytes);

  Status finish();

  uint64_t bytes() const { return bytes_; }

 private:
  struct Place {
    uint64_t begin = 0;
    uint64_t bytes = 0;
    uint64_t written = 0;
  };

  Status write_at(uint64_t at, std::span<const uint8_t> bytes);

  std::string path_;
  int file_ = -1;
  uint64_t bytes_ = 0;
  std::unordered_map<std::string, Place> places_;
};

}  // namespace sluice
