// One sequence as the engine's thread sees it, and the submission it was made from. Plain state;
// the decisions about it are in scheduler, finish and kv_space. Token ranges of a running sequence:
//
//   ids        |<-- prompt -->|<-- adopted -->|<-- drawn here -->|
//   computed   |<------------ KV known good ------->|
//   launched   |<------------ KV written or being written -->|
//
// Without a step in flight, launched == computed.
// The last id drawn has no KV yet: it is the next step's query.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/constraint.h"
#include "engine/prefix_cache.h"
#include "model/backend.h"

namespace sluice {

// What every step reads comes first, for the sake of the caches.
struct Submission {
  uint32_t handle = 0;
  uint32_t max_tokens = 0;
  uint32_t min_tokens = 0;
  int32_t priority = 0;  // 0 first
  uint64_t arrived_at_ms = 0;
  std::vector<uint32_t> stop_ids;
  bool ignore_eos = false;
  SamplingArgs sampling;  // its biases span is set by the Sequence, from `biases`
  std::vector<uint32_t> prompt;
  // Drawn by earlier attempts: fed, never drawn again; they are output in every count.
  std::vector<uint32_t> generated;
  std::vector<LogitBias> biases;
  std::string cache_salt;
  // What the output must match, where grammars is set. Its end is the sequence's, so ignore_eos and
  // min_tokens do not count beside it.
  std::shared_ptr<Grammars> grammars;
  GrammarSource grammar;
};

// kUnmatched: the grammar could not be compiled, or not be followed within its limits.
enum class Finish : uint32_t { kNone = 0, kStop, kLength, kCancelled, kFailed, kUnmatched };

// The KV blocks that a sequence holds. Append-only while held: a block's id never changes under a
// launched batch. `blocks` stays readable after release, for a batch still in flight.
struct KvTable {
  std::vector<uint32_t> blocks;
  uint32_t held = 0;       // of blocks; 0 after release
  uint32_t published = 0;  // full blocks offered to the prefix cache, or taken from it
  PrefixLink tail;         // of the last of those
};

// Between two steps a device works for milliseconds, and the caches forget: what every step reads
// lies together in front, kHotBytes of it, and prefetch() asks for all of it at once.
struct alignas(64) Sequence {
  Sequence(Submission submission, uint64_t serial, const std::vector<uint32_t>& eos_ids);
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  uint32_t generated_tokens() const { return static_cast<uint32_t>(ids.size()) - prompt_tokens; }
  // Tokens that it still has to compute before its next draw; 0: it wants no share of a step. A
  // constrained one wants none while a draw is in flight, on which its next mask depends.
  uint32_t uncomputed_tokens() const;
  // Tokens known or being drawn.
  uint32_t total_tokens() const { return static_cast<uint32_t>(ids.size()) + draws_in_flight; }
  bool wants_prompt_scores() const {
    return source.sampling.prompt_logprobs >= 0 && !prompt_scored;
  }
  void prefetch() const;
  void prefetch_last_id() const { __builtin_prefetch(ids.data() + ids.size(), 1); }

  const uint64_t serial;  // order of submission; breaks ties of arrival
  const uint32_t prompt_tokens;
  uint32_t slot = 0;  // valid while running
  uint32_t computed = 0;
  uint32_t launched = 0;
  uint32_t draws_in_flight = 0;
  uint32_t preemptions = 0;
  std::vector<uint32_t> ids;  // reserved to its greatest length: never moves
  uint64_t admitted_step = 0;
  uint32_t cached_tokens = 0;  // prompt tokens that its first admission found in the prefix cache
  Finish finish = Finish::kNone;
  bool was_admitted = false;
  bool prompt_scored = false;
  std::shared_ptr<Constraint> constraint;  // null where it may say anything
  KvTable table;
  Submission source;  // as submitted; its prompt and generated are in ids now

  SamplingArgs sampling;
  std::vector<uint32_t> banned_early;  // not drawn below min_tokens
  std::vector<uint32_t> swap_slots;    // of a preempted sequence whose KV is in host memory
  std::vector<SampledToken> prompt_scores;

  static constexpr size_t kHotBytes = 320;
};

}  // namespace sluice
