// The plan in its order: victims, running ones, admissions. Each part only takes from the Room
// left.
#include "engine/scheduler.h"

#include <algorithm>
#include <numeric>

#include "engine/admission.h"
#include "engine/priority.h"
#include "engine/victims.h"

namespace sluice {
namespace {

// What is left to hand out while a plan is made.
struct Room {
  uint32_t tokens = 0;
  uint64_t blocks = 0;
};

uint32_t chunk_max(const ScheduleInput& input, bool alone) {
  const uint32_t budget = input.limits.batch_tokens_max;
  // One long prompt must not make the others wait for whole steps.
  const uint32_t fair = alone ? budget : std::max(budget / 2, 1U);
  const uint32_t chunk = input.limits.chunk_tokens_max;
  return chunk == 0 ? fair : std::min(fair, chunk);
}

// A running sequence and its place in order, taken down once: a comparison then reads no sequence.
struct Candidate {
  OrderKey key;
  uint32_t index = 0;
  uint32_t uncomputed = 0;
};

std::vector<Candidate> by_priority(const ScheduleInput& input,
                                   const std::vector<uint32_t>& without) {
  std::vector<Candidate> order;
  order.reserve(input.running.size());
  for (uint32_t i = 0; i < input.running.size(); ++i) {
    const bool preempted = std::find(without.begin(), without.end(), i) != without.end();
    const uint32_t uncomputed = input.running[i]->uncomputed_tokens();
    if (preempted || uncomputed == 0) continue;
    order.push_back({order_key(*input.running[i], input.now_ms), i, uncomputed});
  }
  const auto is_before = [](const Candidate& a, const Candidate& b) { return a.key < b.key; };
  // Most steps find them as the step before left them.
  if (!std::is_sorted(order.begin(), order.end(), is_before)) {
    std::sort(order.begin(), order.end(), is_before);
  }
  return order;
}

void share_running(const ScheduleInput& input, Room* room, Plan* plan) {
  const std::vector<Candidate> order = by_priority(input, plan->preempt);
  plan->running.reserve(order.size());
  uint32_t prompts = 0;
  for (const Candidate& candidate : order) {
    if (candidate.uncomputed > 1) {
      ++prompts;
      continue;
    }
    const uint32_t blocks = growth_now(*input.running[candidate.index]);
    if (blocks > room->blocks || room->tokens == 0) continue;
    room->blocks -= blocks;
    --room->tokens;
    plan->running.push_back({candidate.index, 1});
  }
  const bool alone = prompts <= 1 && input.waiting.empty();
  for (const Candidate& candidate : order) {
    if (candidate.uncomputed <= 1) continue;
    const uint32_t share = std::min({candidate.uncomputed, chunk_max(input, alone), room->tokens});
    if (share == 0) continue;
    room->tokens -= share;
    plan->running.push_back({candidate.index, share});
  }
}

// Index in waiting of the first in order that is not taken yet.
std::optional<uint32_t> best_waiting(const ScheduleInput& input, const std::vector<bool>& taken) {
  std::optional<uint32_t> best;
  for (uint32_t i = 0; i < input.waiting.size(); ++i) {
    if (taken[i]) continue;
    if (!best || goes_before(*input.waiting[i], *input.waiting[*best], input.now_ms)) best = i;
  }
  return best;
}

// Strictly in order: where the first does not fit, nobody behind it starts, or it might never.
void admit(const ScheduleInput& input, Room room, Plan* plan) {
  uint32_t running = static_cast<uint32_t>(input.running.size());
  uint64_t reserve = 0;
  for (const Sequence* sequence : input.running) reserve += growth_reserve(input, *sequence);
  std::vector<bool> taken(input.waiting.size(), false);
  while (room.tokens > 0 && running < input.limits.sequences_max) {
    const std::optional<uint32_t> next = best_waiting(input, taken);
    if (!next) return;
    const Sequence& sequence = *input.waiting[*next];
    const AdmissionCost cost = admission_cost(input, sequence);
    // Alone it may use every block: no one else can grow.
    const uint64_t own_reserve = growth_reserve(input, sequence);
    const uint64_t wanted = cost.blocks + (running == 0 ? 0 : reserve + own_reserve);
    if (wanted > room.blocks) {
      if (running == 0) plan->cannot_fit = *next;
      return;
    }
    const bool alone = running == 0 && input.waiting.size() == 1;
    const uint32_t uncomputed =
        sequence.prompt_tokens + sequence.generated_tokens() - cost.known_tokens;
    const uint32_t share = std::min({uncomputed, chunk_max(input, alone), room.tokens});
    room.tokens -= share;
    room.blocks -= cost.blocks;
    reserve += own_reserve;
    taken[*next] = true;
    ++running;
    plan->admit.push_back({*next, share});
  }
}

}  // namespace

Plan schedule(const ScheduleInput& input) {
  Plan plan;
  plan.preempt = victims_for_growth(input);
  plan.outgrown = !plan.preempt.empty();
  if (plan.preempt.empty()) plan.preempt = victim_for_priority(input);
  Room room{input.limits.batch_tokens_max, input.kv.free_count()};
  for (const uint32_t index : plan.preempt) {
    room.blocks += input.kv.exclusive_blocks(input.running[index]->table);
  }
  share_running(input, &room, &plan);
  if (plan.preempt.empty() && !input.waiting.empty()) admit(input, room, &plan);
  return plan;
}

}  // namespace sluice
