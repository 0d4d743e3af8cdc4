// Which tokens a draw may give, where not all: known only shortly before the draw, so a backend
// asks as late as it can, right before it samples.
#pragma once

#include <cstdint>
#include <span>

namespace sluice {

class TokenMask {
 public:
  // One bit an id, from the lowest of each word; empty: nothing may be drawn, any draw is dropped.
  // Waits until it is known, or finds it out on the caller's thread. Any thread.
  virtual std::span<const uint32_t> wait() = 0;

 protected:
  ~TokenMask() = default;
};

}  // namespace sluice
