// Anonymous mappings.
#include "runtime/large_buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace sluice {

LargeBuffer::~LargeBuffer() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

LargeBuffer::LargeBuffer(LargeBuffer&& other) noexcept {
  *this = std::move(other);
}

LargeBuffer& LargeBuffer::operator=(LargeBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Status LargeBuffer::allocate(uint64_t bytes, LargeBuffer* buffer) {
  LargeBuffer allocated;
  if (bytes == 0) bytes = 1;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return {StatusCode::kTooLarge,
            "cannot take " + std::to_string(bytes) + " bytes of memory: " + std::strerror(errno)};
  }
  allocated.data_ = static_cast<uint8_t*>(memory);
  allocated.bytes_ = bytes;
#if defined(MADV_HUGEPAGE)
  // Advice only: without huge pages all works, with more TLB misses.
  (void)::madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  *buffer = std::move(allocated);
  return Status::ok();
}

}  // namespace sluice
