// What sequences may be bound to: grammars compiled for one model's tokens, kept by their text
// within a bound of bytes, the longest unused going first. Shared by all of a process that serve
// the same tokens, so that what a gateway checked its worker need not compile again. Any thread.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/grammar_library.h"
#include "runtime/status.h"

namespace sluice {

// Of compiled grammars that no sequence may be using any more; what is in use lives on beyond it.
inline constexpr uint64_t kGrammarCacheBytes = uint64_t{256} << 20;

// kind: json_schema, json_object, regex or lark; as llguidance names them.
struct GrammarSource {
  std::string kind;
  std::string text;
  bool operator==(const GrammarSource&) const = default;
};

// The bytes of all tokens one after another, and how long each is. A special token's begin with
// 0xff, so that no text can spell it.
struct GrammarTokens {
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> lengths;
  std::vector<uint32_t> eos_ids;
};

// Immutable; matchers are made from it.
class Grammar {
 public:
  Grammar(const GrammarLibrary* library, void* grammar, uint64_t bytes)
      : library_(library), grammar_(grammar), bytes_(bytes) {}
  ~Grammar() { library_->grammar_free(grammar_); }
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  uint64_t bytes() const { return bytes_; }
  const GrammarLibrary& library() const { return *library_; }
  const void* get() const { return grammar_; }

 private:
  const GrammarLibrary* const library_;
  void* const grammar_;
  const uint64_t bytes_;
};

// A place in a grammar. One thread at a time.
class Matcher {
 public:
  static Status make(const Grammar& grammar, std::unique_ptr<Matcher>* matcher);
  ~Matcher() { library_->matcher_free(matcher_); }
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;

  // Fails where an id does not fit.
  Status consume(std::span<const uint32_t> ids);
  // One bit an id that may come next; only ends of sequence where nothing else can.
  Status fill_mask(std::span<uint32_t> words);
  bool stopped() const { return library_->stopped(matcher_); }

 private:
  Matcher(const GrammarLibrary* library, void* matcher) : library_(library), matcher_(matcher) {}

  const GrammarLibrary* const library_;
  void* const matcher_;
};

class Grammars {
 public:
  explicit Grammars(GrammarTokens tokens, uint64_t cache_bytes = kGrammarCacheBytes);
  ~Grammars();
  Grammars(const Grammars&) = delete;
  Grammars& operator=(const Grammars&) = delete;

  // The one of this process for these tokens. Cheap: nothing is opened before the first grammar.
  static std::shared_ptr<Grammars> shared(GrammarTokens tokens);

  // Opens the library and prepares the tokens, once. kUnsupported: there is no library.
  Status prepare();
  // kUnsupported as above; kInvalid with llguidance's sentence about the grammar.
  Status compile(const GrammarSource& source, std::shared_ptr<const Grammar>* grammar);

  uint32_t first_eos() const { return tokens_.eos_ids.empty() ? 0 : tokens_.eos_ids.front(); }
  uint64_t cached_bytes() const;

 private:
  struct Kept {
    std::string key;
    std::shared_ptr<const Grammar> grammar;
  };

  std::shared_ptr<const Grammar> find(const std::string& key);
  void keep(const std::string& key, std::shared_ptr<const Grammar> grammar);

  const GrammarTokens tokens_;
  const uint64_t cache_bytes_;
  std::mutex prepare_mutex_;
  const GrammarLibrary* library_ = nullptr;
  void* vocabulary_ = nullptr;  // set once, before library_ is seen by others

  mutable std::mutex mutex_;  // guards what follows
  std::list<Kept> kept_;      // the latest used first
  std::unordered_map<std::string, std::list<Kept>::iterator> by_key_;
  uint64_t kept_bytes_ = 0;
};

}  // namespace sluice
