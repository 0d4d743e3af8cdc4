// Zeroed memory for weights and KV blocks, aligned to a page, in huge pages where the system has
// them. It takes room only where it is written. Failure is a status: sizes come from files.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/status.h"

namespace sluice {

class LargeBuffer {
 public:
  LargeBuffer() = default;
  ~LargeBuffer();
  LargeBuffer(LargeBuffer&& other) noexcept;
  LargeBuffer& operator=(LargeBuffer&& other) noexcept;

  static Status allocate(uint64_t bytes, LargeBuffer* buffer);

  uint8_t* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace sluice
