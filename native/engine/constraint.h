// What one sequence may still say: its matcher, moved on by threads of the pool, and the mask of
// its next draw. The engine's thread tells it each token; the sampler waits for the mask, which was
// worked on while the forward pass ran. Work that no thread has begun by then the sampler does
// itself: it never waits for a thread to wake. Where the grammar leaves one token only, that and
// all that follow from it are known ahead: they are tokens without a step, and the same ones that
// draws would have given.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/grammar_pool.h"
#include "engine/grammars.h"
#include "engine/mask_times.h"
#include "model/token_mask.h"

namespace sluice {

// Tokens that are found ahead in one go.
inline constexpr uint32_t kForcedMax = 64;

class Constraint : public TokenMask, public std::enable_shared_from_this<Constraint> {
 public:
  struct Parts {
    std::shared_ptr<Grammars> grammars;
    GrammarPool* pool = nullptr;
    MaskTimes* times = nullptr;
    uint32_t vocab_size = 0;  // the model's, which may be more than the tokenizer's
  };
  Constraint(Parts parts, GrammarSource source);

  // Compiles the grammar and feeds it what earlier attempts drew. Once, before all else.
  void start(std::vector<uint32_t> generated);
  // The sequence's next token, drawn under this mask.
  void take(uint32_t id);
  // Tokens that must follow, at most so many, where they are known by now; they count as taken.
  std::vector<uint32_t> take_forced(uint32_t count_max);
  // True once it is known that the grammar cannot be compiled or followed: its masks are empty.
  bool failed() const;

  // One bit an id; never empty but after a failure. Any thread, until the next take.
  std::span<const uint32_t> wait() override;

 private:
  // What is known of the sequence as it stands: nothing yet, nothing but a thread is at it, all.
  enum class Stage { kPosted, kWorking, kKnown };

  void post();
  // Returns at once where there is nothing to begin.
  void work();
  Status advance(std::span<const uint32_t> ids);
  Status find_next();
  void mark_only(uint32_t id);

  const Parts parts_;
  const GrammarSource source_;
  // Of the thread that works, one at a time.
  std::unique_ptr<Matcher> matcher_;
  std::vector<uint32_t> next_mask_;
  std::vector<uint32_t> next_forced_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable known_;
  Stage stage_ = Stage::kPosted;
  bool queued_ = false;  // in the pool: at most once, however often others did the work
  bool failed_ = false;
  std::vector<uint32_t> taken_;   // not yet fed to the matcher
  std::vector<uint32_t> forced_;  // the last first
  std::vector<uint32_t> mask_;    // after them
  std::vector<uint32_t> only_;    // the mask of the first of them
};

}  // namespace sluice
