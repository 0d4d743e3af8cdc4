// Compiling is done outside of the cache's mutex: two that ask for the same grammar at once both
// compile it, and one result is kept.
#include "engine/grammars.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kMessageBytes = 1024;

// Room for one message of the library.
class Room {
 public:
  const GrammarMessage* get() const { return &message_; }
  std::string text() const { return text_.data(); }

 private:
  std::array<char, kMessageBytes> text_{};
  GrammarMessage message_{text_.data(), kMessageBytes};
};

GrammarText view_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string key_of(const GrammarSource& source) {
  return source.kind + '\n' + source.text;
}

}  // namespace

Status Matcher::make(const Grammar& grammar, std::unique_ptr<Matcher>* matcher) {
  const Room room;
  void* made = grammar.library().matcher_new(grammar.get(), room.get());
  if (made == nullptr) return {StatusCode::kInvalid, room.text()};
  matcher->reset(new Matcher(&grammar.library(), made));
  return Status::ok();
}

Status Matcher::consume(std::span<const uint32_t> ids) {
  const Room room;
  const bool fits = library_->consume(matcher_, ids.data(), ids.size(), room.get());
  return fits ? Status::ok() : Status(StatusCode::kInvalid, room.text());
}

Status Matcher::fill_mask(std::span<uint32_t> words) {
  const Room room;
  const bool filled = library_->mask(matcher_, words.data(), words.size(), room.get());
  return filled ? Status::ok() : Status(StatusCode::kInvalid, room.text());
}

Grammars::Grammars(GrammarTokens tokens, uint64_t cache_bytes)
    : tokens_(std::move(tokens)), cache_bytes_(cache_bytes) {}

Grammars::~Grammars() {
  kept_.clear();
  if (vocabulary_ != nullptr) library_->vocabulary_free(vocabulary_);
}

std::shared_ptr<Grammars> Grammars::shared(GrammarTokens tokens) {
  // Never destroyed: threads may still ask while statics are.
  static auto* const mutex = new std::mutex;
  static auto* const all = new std::vector<std::weak_ptr<Grammars>>;
  const std::lock_guard lock(*mutex);
  std::erase_if(*all, [](const auto& held) { return held.expired(); });
  for (const auto& held : *all) {
    const std::shared_ptr<Grammars> other = held.lock();
    if (other == nullptr) continue;
    const GrammarTokens& own = other->tokens_;
    if (own.eos_ids == tokens.eos_ids && own.lengths == tokens.lengths &&
        own.bytes == tokens.bytes) {
      return other;
    }
  }
  auto made = std::make_shared<Grammars>(std::move(tokens));
  all->push_back(made);
  return made;
}

Status Grammars::prepare() {
  const std::lock_guard lock(prepare_mutex_);
  if (vocabulary_ != nullptr) return Status::ok();
  std::string why_not;
  const GrammarLibrary* library = GrammarLibrary::open(&why_not);
  if (library == nullptr) return {StatusCode::kUnsupported, why_not};
  const GrammarTokensView view{tokens_.bytes.data(),
                               tokens_.bytes.size(),
                               tokens_.lengths.data(),
                               tokens_.lengths.size(),
                               tokens_.eos_ids.data(),
                               tokens_.eos_ids.size()};
  const Room room;
  void* vocabulary = library->vocabulary_new(&view, room.get());
  if (vocabulary == nullptr) return {StatusCode::kInvalid, room.text()};
  library_ = library;
  vocabulary_ = vocabulary;
  return Status::ok();
}

Status Grammars::compile(const GrammarSource& source, std::shared_ptr<const Grammar>* grammar) {
  const std::string key = key_of(source);
  *grammar = find(key);
  if (*grammar != nullptr) return Status::ok();
  SLUICE_RETURN_IF_ERROR(prepare());
  const GrammarText kind = view_of(source.kind);
  const GrammarText text = view_of(source.text);
  uint64_t bytes = 0;
  const Room room;
  void* made = library_->compile(vocabulary_, &kind, &text, &bytes, room.get());
  if (made == nullptr) return {StatusCode::kInvalid, room.text()};
  *grammar = std::make_shared<Grammar>(library_, made, bytes + key.size());
  keep(key, *grammar);
  return Status::ok();
}

uint64_t Grammars::cached_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

std::shared_ptr<const Grammar> Grammars::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found->second);
  return kept_.front().grammar;
}

void Grammars::keep(const std::string& key, std::shared_ptr<const Grammar> grammar) {
  const std::lock_guard lock(mutex_);
  if (by_key_.contains(key) || grammar->bytes() > cache_bytes_) return;
  kept_bytes_ += grammar->bytes();
  kept_.push_front({key, std::move(grammar)});
  by_key_[key] = kept_.begin();
  while (kept_bytes_ > cache_bytes_) {
    kept_bytes_ -= kept_.back().grammar->bytes();
    by_key_.erase(kept_.back().key);
    kept_.pop_back();
  }
}

}  // namespace sluice
