// The seam between the engine (which decides what runs) and a device (which runs it). The CPU
// backend, the CUDA backend and the test fake implement it; the engine knows nothing else of them.
//
// Ownership: every pointer in a Batch belongs to the engine and stays valid until collect() of that
// batch returns. Every pointer in a StepResult belongs to the caller.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/block.h"
#include "kernels/sampling/args.h"
#include "model/token_mask.h"
#include "runtime/status.h"

namespace sluice {

// One sequence's share of a step: tokens [context_tokens, context_tokens + query_tokens) are
// computed, their K and V written through the block table, and, if `sample`, one token drawn after
// the last.
//
//   |<------ context_tokens ------>|<-- query_tokens -->|
//   |  already in the KV blocks    |  this step          | -> sampled token
struct BatchSequence {
  uint32_t slot = 0;  // stable while the sequence runs, < sequences_max
  // Another number each time that a sequence is given the slot: a backend that keeps state by slot
  // then makes it anew from the history.
  uint64_t admission = 0;
  // [query_tokens] ids; null: one token, the one last sampled in this slot (a backend that runs
  // ahead).
  const uint32_t* tokens = nullptr;
  uint32_t query_tokens = 0;
  uint32_t context_tokens = 0;
  const uint32_t* block_table = nullptr;  // [ceil((context + query) / kBlockTokens)] block ids
  bool sample = false;
  const SamplingArgs* sampling = nullptr;
  uint64_t position = 0;  // output position of the sampled token: the generator's counter
  // prompt and output ids so far, for penalties; the first prompt_tokens of them are the prompt
  std::span<const uint32_t> history;
  uint32_t prompt_tokens = 0;
  // Ids that must not be drawn (end of sequence and stop ids below min_tokens).
  std::span<const uint32_t> banned;
  TokenMask* mask = nullptr;  // null: any token may be drawn
};

struct Batch {
  std::vector<BatchSequence> sequences;
};

struct SequenceResult {
  SampledToken sampled;  // valid where the BatchSequence asked to sample
  // Where prompt_logprobs >= 0: for each query token t of the prompt, the score of prompt token
  // context_tokens + t + 1 given the ones before it (none for the prompt's last token).
  std::vector<SampledToken> prompt;
};

struct StepResult {
  std::vector<SequenceResult> sequences;  // as in the Batch
};

// One line of the table that an opened backend prints: where a device's memory goes.
struct MemoryPart {
  std::string name;
  uint64_t bytes = 0;
};

struct BackendInfo {
  std::string device;  // "cpu (avx2, 2 threads)"
  std::string dtype;
  uint32_t vocab_size = 0;
  uint32_t context_tokens_max = 0;
  uint64_t kv_bytes_per_block = 0;
  // True where launch returns before the result is known and the next batch may be launched first.
  bool runs_ahead = false;
  // True where a draw honours BatchSequence::mask.
  bool takes_masks = false;
  // True where KV blocks are not in host memory, so that they do not compete with it.
  bool kv_on_device = false;
  std::vector<MemoryPart> memory;  // after reserve; empty in host memory
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const BackendInfo& info() const = 0;
  // Bytes that the KV may take beside the weights and what steps of this size need; 0: it is host
  // memory, and the caller's to divide. Called before reserve.
  virtual Status kv_bytes_max(uint32_t sequences_max, uint32_t batch_tokens_max, uint64_t* bytes) {
    static_cast<void>(sequences_max);
    static_cast<void>(batch_tokens_max);
    *bytes = 0;
    return Status::ok();
  }
  // Called once, before the first launch: all memory is taken here, none in a step.
  virtual Status reserve(uint32_t blocks, uint32_t sequences_max, uint32_t batch_tokens_max) = 0;
  // At most one batch more than collected may be in flight, and only where runs_ahead.
  virtual Status launch(const Batch& batch) = 0;
  // Waits for the oldest launched batch. A failed status ends the engine.
  virtual Status collect(StepResult* result) = 0;
  // Host memory that save_block and load_block will be given parts of, until it is withdrawn by
  // pin(nullptr, 0), which waits for the copies that run.
  virtual void pin(void* host, uint64_t bytes) {
    static_cast<void>(host);
    static_cast<void>(bytes);
  }
  // KV of one block to and from host memory of kv_bytes_per_block, bit-exact (preemption by swap).
  // Ordered after every batch launched before, also where one is in flight.
  virtual Status save_block(uint32_t block, void* host) = 0;
  virtual Status load_block(uint32_t block, const void* host) = 0;
};

struct LoadOptions {
  std::string folder;
  std::string dtype = "auto";       // auto | float32 | bfloat16 | float16
  uint32_t threads = 0;             // 0: what this process may use
  uint32_t context_tokens_max = 0;  // 0: the model's own
  double device_memory = 0.9;       // the share of a device's memory that may be used
  // A device then gives the same bits alone and in a crowd, cut or whole, cached or not.
  bool deterministic = false;
  std::function<void(uint64_t done, uint64_t total)> progress;  // bytes
};

// Loads a Hugging Face folder for the CPU. The message of a failed status names the file, what was
// found and what is supported.
Status load_cpu_backend(const LoadOptions& options, std::unique_ptr<Backend>* backend);

}  // namespace sluice
