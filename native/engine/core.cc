// Carries plans out. Policy is scheduler.cc, bookkeeping is kv_space.cc, execution the backend.
#include "engine/core.h"

#include <algorithm>
#include <utility>

#include "runtime/status.h"

namespace sluice {
namespace {

template <typename Refs>
std::vector<const Sequence*> views_of(const Refs& refs) {
  std::vector<const Sequence*> views;
  views.reserve(refs.size());
  for (const auto& ref : refs) views.push_back(ref.get());
  return views;
}

template <typename Refs, typename Ref>
void remove(Refs* refs, const Ref& ref) {
  refs->erase(std::remove(refs->begin(), refs->end(), ref), refs->end());
}

}  // namespace

Core::Core(Backend* backend,
           const EngineLimits& limits,
           std::vector<uint32_t> eos_ids,
           PrefixKey prefix_secret)
    : backend_(backend),
      limits_(limits),
      eos_ids_(std::move(eos_ids)),
      grammar_pool_(kGrammarThreads),
      kv_(limits.blocks, limits.prefix_cache, prefix_secret),
      swap_(limits.swap_blocks, backend->info().kv_bytes_per_block) {
  SLUICE_CHECK(limits.batch_tokens_max > limits.sequences_max);
  if (swap_.slot_count() > 0) backend->pin(swap_.data(), swap_.bytes());
  for (uint32_t slot = limits.sequences_max; slot > 0; --slot) free_slots_.push_back(slot - 1);
}

Core::~Core() {
  if (swap_.slot_count() > 0) backend_->pin(nullptr, 0);
}

void Core::submit(Submission submission) {
  auto sequence = std::make_shared<Sequence>(std::move(submission), ++submissions_, eos_ids_);
  const Ending ending = ending_of(*sequence, eos_ids_);
  if (ending.finish != Finish::kNone) return end(sequence, ending, entry_of(*sequence));
  if (sequence->source.grammars != nullptr) {
    sequence->constraint = std::make_shared<Constraint>(
        Constraint::Parts{
            sequence->source.grammars, &grammar_pool_, &mask_times_, backend_->info().vocab_size},
        sequence->source.grammar);
    const auto generated = sequence->ids.begin() + sequence->prompt_tokens;
    sequence->constraint->start({generated, sequence->ids.end()});
    ++constrained_;
  }
  waiting_.push_back(std::move(sequence));
}

void Core::cancel(uint32_t handle) {
  const auto is_it = [&](const SequenceRef& ref) { return ref->source.handle == handle; };
  for (const std::vector<SequenceRef>* refs : {&running_, &waiting_}) {
    const auto found = std::find_if(refs->begin(), refs->end(), is_it);
    if (found == refs->end()) continue;
    const SequenceRef sequence = *found;
    return end(sequence, {Finish::kCancelled, 0}, entry_of(*sequence));
  }
}

bool Core::has_work() const {
  return !running_.empty() || !waiting_.empty() || !in_flight_.empty() || !entries_.empty();
}

Status Core::step(uint64_t now_ms, StepReport* report) {
  collected_tokens_ = 0;
  collected_sequences_ = 0;
  preempted_ = 0;
  take_forced();
  Plan plan = make_plan(now_ms);
  if (!plan.preempt.empty() && !in_flight_.empty()) {
    // A victim with a draw in flight would lose it: collect first, then decide afresh.
    SLUICE_RETURN_IF_ERROR(collect());
    plan = make_plan(now_ms);
  }
  const size_t launched_before = in_flight_.size();
  SLUICE_RETURN_IF_ERROR(carry_out(plan));
  const bool launched = in_flight_.size() > launched_before;
  const size_t leave = launched && backend_->info().runs_ahead ? 1 : 0;
  while (in_flight_.size() > leave) SLUICE_RETURN_IF_ERROR(collect());
  report->step = counts_.steps;
  report->batch_tokens = collected_tokens_;
  report->batch_sequences = collected_sequences_;
  report->running = running_count();
  report->waiting = waiting_count();
  report->preempted = preempted_;
  report->blocks_free = kv_.free_count();
  report->blocks = kv_.block_count();
  report->entries = std::exchange(entries_, {});
  report->ids = std::exchange(entry_ids_, {});
  return Status::ok();
}

void Core::take_forced() {
  if (constrained_ == 0) return;
  const std::vector<SequenceRef> running = running_;  // an end changes the list
  for (const SequenceRef& sequence : running) {
    Sequence& s = *sequence;
    // A draw in flight comes first, and a token without a step has no logprobs.
    if (s.constraint == nullptr || s.draws_in_flight > 0 || s.sampling.logprobs >= 0) continue;
    StepEntry entry = entry_of(s);
    const uint32_t left = s.source.max_tokens - std::min(s.source.max_tokens, entry.position);
    Ending ending;
    for (const uint32_t id : s.constraint->take_forced(left)) {
      s.ids.push_back(id);
      entry_ids_.push_back(id);
      ++entry.id_count;
      ending = ending_of(s, eos_ids_);
      if (ending.finish != Finish::kNone) break;
    }
    if (entry.id_count == 0) continue;
    if (ending.finish != Finish::kNone) {
      end(sequence, ending, std::move(entry));
    } else {
      entries_.push_back(std::move(entry));
    }
  }
}

Plan Core::make_plan(uint64_t now_ms) const {
  const std::vector<const Sequence*> running = views_of(running_);
  const std::vector<const Sequence*> waiting = views_of(waiting_);
  return schedule({.running = running,
                   .waiting = waiting,
                   .kv = kv_,
                   .limits = limits_,
                   .step = counts_.steps,
                   .outgrown_step = outgrown_step_,
                   .now_ms = now_ms});
}

// Prefix hits are taken before anything else takes free blocks, which could be those hits. The
// plan's indices hold until the lists change, so the launch is made before admitted sequences move.
Status Core::carry_out(const Plan& plan) {
  if (plan.cannot_fit) {
    const SequenceRef sequence = waiting_[*plan.cannot_fit];
    end(sequence, {Finish::kFailed, 0}, entry_of(*sequence));
    return Status::ok();
  }
  if (plan.outgrown) outgrown_step_ = std::max<uint64_t>(counts_.steps, 1);
  std::vector<SequenceRef> victims;
  for (const uint32_t index : plan.preempt) victims.push_back(running_[index]);
  std::vector<SequenceRef> admitted;
  for (const Share& share : plan.admit) admitted.push_back(waiting_[share.index]);
  for (const SequenceRef& sequence : admitted) place(sequence);
  // Victims keep their place in the list until the launch has used the plan's indices.
  for (const SequenceRef& victim : victims) SLUICE_RETURN_IF_ERROR(preempt(victim));
  SLUICE_RETURN_IF_ERROR(launch(plan, admitted));
  for (const SequenceRef& victim : victims) {
    remove(&running_, victim);
    waiting_.push_back(victim);
  }
  for (const SequenceRef& sequence : admitted) {
    remove(&waiting_, sequence);
    running_.push_back(sequence);
  }
  return Status::ok();
}

Status Core::preempt(const SequenceRef& sequence) {
  Sequence& victim = *sequence;
  SLUICE_CHECK_EQ(victim.draws_in_flight, 0);
  const uint32_t blocks = blocks_for(victim.computed);
  if (blocks > 0 && blocks <= swap_.free_count()) {
    for (uint32_t i = 0; i < blocks; ++i) {
      victim.swap_slots.push_back(swap_.take());
      SLUICE_RETURN_IF_ERROR(
          backend_->save_block(victim.table.blocks[i], swap_.at(victim.swap_slots.back())));
    }
  } else {
    victim.computed = 0;
    victim.launched = 0;
    victim.prompt_scores.clear();
  }
  kv_.release(&victim.table);
  free_slots_.push_back(victim.slot);
  ++victim.preemptions;
  ++counts_.preemptions;
  ++preempted_;
  return Status::ok();
}

void Core::place(const SequenceRef& sequence) {
  Sequence& s = *sequence;
  SLUICE_CHECK(!free_slots_.empty());
  s.slot = free_slots_.back();
  free_slots_.pop_back();
  s.admitted_step = counts_.steps;
  if (s.swap_slots.empty()) {
    s.launched = kv_.take_hits(&s);
    s.computed = s.launched;
    counts_.prefix_hit_tokens += s.launched;
    if (!s.was_admitted) s.cached_tokens = std::min(s.launched, s.prompt_tokens);
  } else {
    kv_.start_empty(&s);
  }
  if (!s.was_admitted) counts_.prompt_tokens += s.prompt_tokens;
  s.was_admitted = true;
}

Status Core::load_swapped(Sequence* sequence) {
  for (uint32_t i = 0; i < sequence->swap_slots.size(); ++i) {
    const uint32_t slot = sequence->swap_slots[i];
    SLUICE_RETURN_IF_ERROR(backend_->load_block(sequence->table.blocks[i], swap_.at(slot)));
    swap_.give(slot);
  }
  sequence->swap_slots.clear();
  return Status::ok();
}

Status Core::launch(const Plan& plan, const std::vector<SequenceRef>& admitted) {
  if (plan.running.empty() && admitted.empty()) return Status::ok();
  in_flight_.emplace_back();
  Launch& next = in_flight_.back();
  next.batch.sequences.reserve(plan.running.size() + admitted.size());
  next.shares.reserve(plan.running.size() + admitted.size());
  for (const Share& share : plan.running) {
    const SequenceRef& sequence = running_[share.index];
    kv_.extend(&sequence->table, sequence->launched + share.query_tokens);
    add_share(sequence, share.query_tokens, &next);
  }
  for (size_t i = 0; i < admitted.size(); ++i) {
    Sequence* sequence = admitted[i].get();
    kv_.extend(&sequence->table, static_cast<uint32_t>(sequence->ids.size()));
    SLUICE_RETURN_IF_ERROR(load_swapped(sequence));
    add_share(admitted[i], plan.admit[i].query_tokens, &next);
  }
  ++counts_.steps;
  return backend_->launch(next.batch);
}

Status Core::collect() {
  StepResult result;
  SLUICE_RETURN_IF_ERROR(backend_->collect(&result));
  const Launch done = std::move(in_flight_.front());
  in_flight_.pop_front();
  SLUICE_CHECK_EQ(result.sequences.size(), done.shares.size());
  // Milliseconds on the device were long enough for the caches to forget every sequence.
  for (const LaunchedShare& share : done.shares) share.sequence->prefetch();
  for (const LaunchedShare& share : done.shares) share.sequence->prefetch_last_id();
  entries_.reserve(entries_.size() + done.shares.size());
  entry_ids_.reserve(entry_ids_.size() + done.shares.size());
  for (size_t i = 0; i < done.shares.size(); ++i) apply(done.shares[i], &result.sequences[i]);
  collected_tokens_ += done.tokens;
  collected_sequences_ += static_cast<uint32_t>(done.shares.size());
  return Status::ok();
}

void Core::apply(const LaunchedShare& share, SequenceResult* result) {
  Sequence& s = *share.sequence;
  // It ended while this step was in flight: what the step drew lies past its end.
  if (s.finish != Finish::kNone) return;
  s.computed = share.context_tokens + share.query_tokens;
  StepEntry entry = entry_of(s);
  if (s.wants_prompt_scores()) add_prompt_scores(share, result, &entry);
  if (share.sample) {
    --s.draws_in_flight;
    if (s.constraint != nullptr && s.constraint->failed()) {
      return end(share.sequence, {Finish::kUnmatched, 0}, std::move(entry));
    }
    s.ids.push_back(result->sampled.id);
    entry_ids_.push_back(result->sampled.id);
    entry.id_count = 1;
    if (entry.has_logprobs) entry.logprobs.push_back(std::move(result->sampled));
  }
  kv_.publish(&s);
  const Ending ending = ending_of(s, eos_ids_);
  if (ending.finish != Finish::kNone) return end(share.sequence, ending, std::move(entry));
  if (share.sample && s.constraint != nullptr) s.constraint->take(s.ids.back());
  if (share.sample || entry.has_prompt_logprobs) entries_.push_back(std::move(entry));
}

void Core::add_prompt_scores(const LaunchedShare& share, SequenceResult* result, StepEntry* entry) {
  Sequence& s = *share.sequence;
  for (SampledToken& score : result->prompt) s.prompt_scores.push_back(std::move(score));
  if (s.computed < s.prompt_tokens) return;
  s.prompt_scored = true;
  entry->has_prompt_logprobs = true;
  entry->prompt_logprobs = std::exchange(s.prompt_scores, {});
}

void Core::end(const SequenceRef& sequence, Ending ending, StepEntry entry) {
  SLUICE_CHECK(sequence->finish == Finish::kNone);
  sequence->finish = ending.finish;
  if (sequence->constraint != nullptr) --constrained_;
  const bool ran = std::find(running_.begin(), running_.end(), sequence) != running_.end();
  if (ran) free_slots_.push_back(sequence->slot);
  kv_.release(&sequence->table);
  for (const uint32_t slot : sequence->swap_slots) swap_.give(slot);
  sequence->swap_slots.clear();
  // A copy keeps it alive: the reference may be an element of one of the lists.
  const SequenceRef ended = sequence;
  remove(&running_, ended);
  remove(&waiting_, ended);
  entry.ending = ending;
  entries_.push_back(std::move(entry));
}

StepEntry Core::entry_of(const Sequence& sequence) const {
  StepEntry entry;
  entry.sequence = sequence.source.handle;
  entry.position = sequence.generated_tokens();
  entry.first_id = static_cast<uint32_t>(entry_ids_.size());
  entry.cached_tokens = sequence.cached_tokens;
  entry.has_logprobs = sequence.sampling.logprobs >= 0;
  return entry;
}

void Core::check_invariants() const {
  std::vector<const KvTable*> tables;
  uint32_t swapped = 0;
  for (const SequenceRef& sequence : running_) {
    tables.push_back(&sequence->table);
    SLUICE_CHECK(sequence->swap_slots.empty());
    SLUICE_CHECK(sequence->computed <= sequence->launched);
    SLUICE_CHECK(blocks_for(sequence->launched) <= sequence->table.held);
  }
  for (const SequenceRef& sequence : waiting_) {
    SLUICE_CHECK_EQ(sequence->table.held, 0);
    swapped += static_cast<uint32_t>(sequence->swap_slots.size());
  }
  kv_.check_invariants(tables);
  SLUICE_CHECK_EQ(swapped + swap_.free_count(), swap_.slot_count());
  SLUICE_CHECK_EQ(running_.size() + free_slots_.size(), limits_.sequences_max);
}

}  // namespace sluice
