// The packed step, word by word: the same words are in test/unit/stepOutput.test.ts.
#include "engine/step_output.h"

#include <bit>
#include <vector>

#include "check.h"
#include "engine/kv_budget.h"

namespace sluice {
namespace {

uint32_t bits(float value) {
  return std::bit_cast<uint32_t>(value);
}

TEST("a packed step has the documented words") {
  StepReport report;
  report.step = (3ULL << 32) + 7;
  report.batch_tokens = 20;
  report.batch_sequences = 2;
  report.running = 1;
  report.waiting = 4;
  report.preempted = 1;
  report.blocks_free = 30;
  report.blocks = 32;
  report.duration_us = 1500;
  StepEntry first;
  first.sequence = 11;
  first.ending = {Finish::kStop, 6};
  first.position = 9;
  report.ids = {5};
  first.id_count = 1;
  first.cached_tokens = 16;
  first.has_logprobs = true;
  first.logprobs = {{5, -0.5f, {{5, -0.5f}, {8, -1.5f}}}};
  first.has_prompt_logprobs = true;
  first.prompt_logprobs = {{3, -2.0f, {}}};
  StepEntry second;
  second.sequence = 12;
  second.ending = {Finish::kCancelled, 0};
  second.position = 2;
  report.entries = {first, second};
  const std::vector<uint32_t> expected = {
      1,           7,           3, 2,           20, 2,           1, 4, 1, 30, 32, 1500,  // header
      11,          1,           6, 9,           1,  16,          3,                      // entry
      5,                                                                                 // ids
      bits(-0.5f), 2,           5, bits(-0.5f), 8,  bits(-1.5f),                         // logprobs
      1,           bits(-2.0f), 0,  // prompt logprobs
      12,          3,           0, 2,           0,  0,           0};
  CHECK(pack_step(report) == expected);
}

TEST("blocks come from the bytes asked for, or from a bounded share of memory") {
  BackendInfo info;
  info.kv_bytes_per_block = 1000;
  info.context_tokens_max = 160;
  EngineLimits limits = {.sequences_max = 2};
  CHECK(choose_blocks(info, 50'500, std::nullopt, &limits).is_ok());
  CHECK_EQ(limits.blocks, 50U);
  CHECK_EQ(limits.swap_blocks, 12U);
  CHECK(choose_blocks(info, 50'500, 3'000, &limits).is_ok());
  CHECK_EQ(limits.swap_blocks, 3U);
  // No more than two sequences of 160 tokens can fill.
  CHECK(choose_blocks(info, 0, 0, &limits).is_ok());
  CHECK_EQ(limits.blocks, 20U);
  CHECK_EQ(limits.swap_blocks, 0U);
  const Status refused = choose_blocks(info, 999, std::nullopt, &limits);
  CHECK_EQ(refused.code(), StatusCode::kTooLarge);
  CHECK(refused.message().find("999") != std::string::npos);
}

}  // namespace
}  // namespace sluice
