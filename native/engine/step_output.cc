// Writes words in the order of the layout; the reader is src/generate/engine/stepOutput.ts.
#include "engine/step_output.h"

#include <bit>

namespace sluice {
namespace {

void pack_scores(const std::vector<SampledToken>& scores, std::vector<uint32_t>* words) {
  for (const SampledToken& score : scores) {
    words->push_back(std::bit_cast<uint32_t>(score.logprob));
    words->push_back(static_cast<uint32_t>(score.top.size()));
    for (const TokenScore& top : score.top) {
      words->push_back(top.id);
      words->push_back(std::bit_cast<uint32_t>(top.logprob));
    }
  }
}

void pack_entry(const StepEntry& entry,
                std::span<const uint32_t> ids,
                std::vector<uint32_t>* words) {
  const uint32_t flags = (entry.has_logprobs ? 1U : 0U) | (entry.has_prompt_logprobs ? 2U : 0U);
  words->insert(words->end(),
                {entry.sequence,
                 static_cast<uint32_t>(entry.ending.finish),
                 entry.ending.stop_word,
                 entry.position,
                 static_cast<uint32_t>(ids.size()),
                 entry.cached_tokens,
                 flags});
  words->insert(words->end(), ids.begin(), ids.end());
  if (entry.has_logprobs) pack_scores(entry.logprobs, words);
  if (entry.has_prompt_logprobs) {
    words->push_back(static_cast<uint32_t>(entry.prompt_logprobs.size()));
    pack_scores(entry.prompt_logprobs, words);
  }
}

}  // namespace

std::vector<uint32_t> pack_step(const StepReport& report) {
  std::vector<uint32_t> words;
  words.reserve(kStepHeaderWords + report.entries.size() * kStepEntryWords + report.ids.size());
  words.insert(words.end(),
               {kStepLayoutVersion,
                static_cast<uint32_t>(report.step),
                static_cast<uint32_t>(report.step >> 32),
                static_cast<uint32_t>(report.entries.size()),
                report.batch_tokens,
                report.batch_sequences,
                report.running,
                report.waiting,
                report.preempted,
                report.blocks_free,
                report.blocks,
                report.duration_us});
  for (const StepEntry& entry : report.entries) pack_entry(entry, report.ids_of(entry), &words);
  return words;
}

}  // namespace sluice
