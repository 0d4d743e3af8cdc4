// libsluice_grammar, llguidance behind a C interface (native/grammar/src/lib.rs; the two change
// together, with kGrammarAbi), opened beside this code when a grammar is first wanted. Without it
// everything but structured output works. It is never unloaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice {

inline constexpr uint32_t kGrammarAbi = 1;

struct GrammarMessage {
  char* at = nullptr;
  size_t bytes = 0;
};

struct GrammarText {
  const uint8_t* at = nullptr;
  size_t bytes = 0;
};

struct GrammarTokensView {
  const uint8_t* bytes = nullptr;
  size_t byte_count = 0;
  const uint32_t* lengths = nullptr;
  size_t count = 0;
  const uint32_t* eos = nullptr;
  size_t eos_count = 0;
};

// Each pointer that the library gives is freed by its own function; null and false come with a
// message.
struct GrammarLibrary {
  uint32_t (*abi)() = nullptr;
  void* (*vocabulary_new)(const GrammarTokensView*, const GrammarMessage*) = nullptr;
  void (*vocabulary_free)(void*) = nullptr;
  void* (*compile)(const void* vocabulary,
                   const GrammarText* kind,
                   const GrammarText* text,
                   uint64_t* bytes,
                   const GrammarMessage*) = nullptr;
  void (*grammar_free)(void*) = nullptr;
  void* (*matcher_new)(const void* grammar, const GrammarMessage*) = nullptr;
  void (*matcher_free)(void*) = nullptr;
  bool (*consume)(void* matcher, const uint32_t*, size_t, const GrammarMessage*) = nullptr;
  bool (*stopped)(const void* matcher) = nullptr;
  bool (*mask)(void* matcher, uint32_t*, size_t words, const GrammarMessage*) = nullptr;

  // Null with the reason where it cannot be opened. One that is missing is looked for again at the
  // next call: it may still be being built.
  static const GrammarLibrary* open(std::string* why_not);
};

}  // namespace sluice
