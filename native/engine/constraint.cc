// Work is posted when something was taken that was not known ahead; whoever comes first does it, a
// thread of the pool or the sampler. A sequence is not told another token before its mask was
// waited for.
#include "engine/constraint.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <utility>

#include "runtime/status.h"

namespace sluice {
namespace {

// The only id of a mask, or none (count() then is not 1).
struct Single {
  uint32_t count = 0;
  uint32_t id = 0;
};

Single single_of(std::span<const uint32_t> words) {
  Single single;
  for (size_t i = 0; i < words.size() && single.count < 2; ++i) {
    if (words[i] == 0) continue;
    single.count += static_cast<uint32_t>(std::popcount(words[i]));
    single.id = static_cast<uint32_t>(i * 32) + static_cast<uint32_t>(std::countr_zero(words[i]));
  }
  return single;
}

}  // namespace

Constraint::Constraint(Parts parts, GrammarSource source)
    : parts_(std::move(parts)), source_(std::move(source)) {
  const size_t words = (parts_.vocab_size + 31) / 32;
  next_mask_.resize(words);
  mask_.resize(words);
  only_.resize(words);
}

void Constraint::start(std::vector<uint32_t> generated) {
  taken_ = std::move(generated);
  post();
}

void Constraint::take(uint32_t id) {
  {
    const std::lock_guard lock(mutex_);
    if (failed_) return;
    SLUICE_CHECK(stage_ == Stage::kKnown);
    if (!forced_.empty()) {
      SLUICE_CHECK_EQ(forced_.back(), id);
      forced_.pop_back();
      if (!forced_.empty()) mark_only(forced_.back());
      return;
    }
    taken_.push_back(id);
    stage_ = Stage::kPosted;
  }
  post();
}

std::vector<uint32_t> Constraint::take_forced(uint32_t count_max) {
  const std::lock_guard lock(mutex_);
  if (stage_ != Stage::kKnown || failed_) return {};
  const size_t count = std::min<size_t>(count_max, forced_.size());
  std::vector<uint32_t> ids(forced_.rbegin(), forced_.rbegin() + static_cast<ptrdiff_t>(count));
  forced_.resize(forced_.size() - count);
  if (!forced_.empty()) mark_only(forced_.back());
  return ids;
}

bool Constraint::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

std::span<const uint32_t> Constraint::wait() {
  work();
  std::unique_lock lock(mutex_);
  known_.wait(lock, [this] { return stage_ == Stage::kKnown; });
  if (failed_) return {};
  return forced_.empty() ? mask_ : only_;
}

void Constraint::mark_only(uint32_t id) {
  std::fill(only_.begin(), only_.end(), 0);
  only_[id / 32] = uint32_t{1} << (id % 32);
}

void Constraint::post() {
  {
    const std::lock_guard lock(mutex_);
    if (queued_) return;
    queued_ = true;
  }
  parts_.pool->run([self = shared_from_this()] {
    {
      const std::lock_guard lock(self->mutex_);
      self->queued_ = false;
    }
    self->work();
  });
}

void Constraint::work() {
  std::vector<uint32_t> ids;
  {
    const std::lock_guard lock(mutex_);
    if (stage_ != Stage::kPosted) return;
    stage_ = Stage::kWorking;
    ids = std::exchange(taken_, {});
  }
  const auto begun = std::chrono::steady_clock::now();
  const Status status = advance(ids);
  parts_.times->add(std::chrono::steady_clock::now() - begun);
  {
    const std::lock_guard lock(mutex_);
    failed_ = !status.is_ok();
    std::swap(mask_, next_mask_);
    forced_ = std::exchange(next_forced_, {});
    std::reverse(forced_.begin(), forced_.end());
    if (!forced_.empty()) mark_only(forced_.back());
    stage_ = Stage::kKnown;
  }
  known_.notify_all();
}

Status Constraint::advance(std::span<const uint32_t> ids) {
  if (matcher_ == nullptr) {
    std::shared_ptr<const Grammar> grammar;
    SLUICE_RETURN_IF_ERROR(parts_.grammars->compile(source_, &grammar));
    SLUICE_RETURN_IF_ERROR(Matcher::make(*grammar, &matcher_));
  }
  SLUICE_RETURN_IF_ERROR(matcher_->consume(ids));
  return find_next();
}

// Follows single tokens as far as they go. An end of sequence is always the last.
Status Constraint::find_next() {
  for (;;) {
    if (matcher_->stopped()) {
      next_forced_.push_back(parts_.grammars->first_eos());
      return Status::ok();
    }
    SLUICE_RETURN_IF_ERROR(matcher_->fill_mask(next_mask_));
    const Single single = single_of(next_mask_);
    if (single.count == 0) return {StatusCode::kInvalid, "no token fits"};
    if (single.count > 1 || next_forced_.size() == kForcedMax) return Status::ok();
    next_forced_.push_back(single.id);
    SLUICE_RETURN_IF_ERROR(matcher_->consume({&single.id, 1}));
  }
}

}  // namespace sluice
