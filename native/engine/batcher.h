// Turns a plan's shares into a Batch for the backend, and remembers what was launched until its
// result comes. Every pointer in a Batch goes into a Sequence that the Launch keeps alive.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/sequence.h"
#include "model/backend.h"

namespace sluice {

struct LaunchedShare {
  std::shared_ptr<Sequence> sequence;
  uint32_t context_tokens = 0;
  uint32_t query_tokens = 0;
  bool sample = false;
};

struct Launch {
  std::vector<LaunchedShare> shares;
  Batch batch;  // valid until collected
  uint32_t tokens = 0;
};

// Adds the sequence's next query_tokens; its table must cover them. Marks them launched.
void add_share(const std::shared_ptr<Sequence>& sequence, uint32_t query_tokens, Launch* launch);

}  // namespace sluice
