// What a caller says about a draw, and what it gets back. Plain types that the engine, its backends
// and the sampler share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

struct LogitBias {
  uint32_t token;
  float bias;
};

// How one token is drawn. Applied in this order: penalties and bias, logprobs (before temperature),
// temperature (0: argmax, lowest id on ties), top-k, top-p, min-p, Gumbel-max.
struct SamplingArgs {
  float temperature = 1;
  uint32_t top_k = 0;  // 0: off
  float top_p = 1;
  float min_p = 0;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  float repetition_penalty = 1;
  std::span<const LogitBias> biases;
  uint64_t seed = 0;
  uint32_t choice = 0;  // stream tag of the generator
  int32_t logprobs = -1;
  int32_t prompt_logprobs = -1;
};

struct TokenScore {
  uint32_t id = 0;
  float logprob = 0;  // natural log, of the raw distribution after penalties and bias
};

struct SampledToken {
  uint32_t id = 0;
  float logprob = 0;            // set where sampling->logprobs >= 0
  std::vector<TokenScore> top;  // the logprobs most likely, best first
};

}  // namespace sluice
