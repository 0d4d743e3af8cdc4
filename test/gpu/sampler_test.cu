// The device's sampler against the CPU's, id for id, on the same logits: every option alone and
// together, vocabularies of every size, ties, masks and what is no number; and its own promises:
// a row's place in the batch and a graph change nothing.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "check.h"
#include "device_array.h"
#include "kernels/cuda/sampler.h"
#include "kernels/sampler.h"

namespace sluice {
namespace {

using check::DeviceArray;
using check::FastRandom;

// Logprobs are sums in another order than the CPU's, in float64, then rounded.
constexpr float kLogprobError = 2e-6f;

struct TestRow {
  SamplingArgs args;
  std::vector<LogitBias> biases;
  std::vector<uint32_t> history;
  uint32_t prompt_tokens = 0;
  std::vector<uint32_t> banned;
  uint64_t position = 0;
  std::vector<float> logits;
  int32_t score_id = -1;
  bool is_padding = false;
};

struct Drawn {
  std::vector<SampledRow> rows;
  std::vector<ScoredId> top;
  std::vector<int32_t> last;
};

bool has_penalties(const SamplingArgs& a) {
  return a.presence_penalty != 0 || a.frequency_penalty != 0 || a.repetition_penalty != 1;
}

SampleRow packed(const TestRow& row, int32_t slot, std::vector<TokenBias>* biases) {
  SampleRow out;
  if (row.is_padding) return out;
  out.slot = slot;
  out.score_id = row.score_id;
  out.temperature = row.args.temperature;
  out.top_k = row.args.top_k;
  out.top_p = row.args.top_p;
  out.min_p_log =
      row.args.min_p > 0 ? std::log(std::min(static_cast<double>(row.args.min_p), 1.0)) : -HUGE_VAL;
  out.choice = row.args.choice;
  out.seed = row.args.seed;
  out.position = row.position;
  out.presence_penalty = row.args.presence_penalty;
  out.frequency_penalty = row.args.frequency_penalty;
  out.repetition_penalty = row.args.repetition_penalty;
  out.has_penalties = has_penalties(row.args) ? 1 : 0;
  out.logprobs = row.args.logprobs;
  out.bias_begin = static_cast<uint32_t>(biases->size());
  for (const LogitBias& bias : row.biases) {
    biases->push_back({static_cast<int32_t>(bias.token), bias.bias});
  }
  for (const uint32_t id : row.banned) {
    biases->push_back({static_cast<int32_t>(id), -HUGE_VALF});
  }
  out.bias_count = static_cast<uint32_t>(row.biases.size());
  out.ban_count = static_cast<uint32_t>(row.banned.size());
  return out;
}

class Rig {
 public:
  Rig(uint32_t vocab, uint32_t rows_max) : vocab_(vocab), stride_((vocab + 3) / 4 * 4 + 4) {
    const Status status = prepare_sampler(vocab);
    if (!status.is_ok()) check::fail(__FILE__, __LINE__, status.message());
    cells_ = DeviceArray<uint16_t>(sampler_cells_bytes(rows_max, vocab) / 2);
    logits_ = DeviceArray<float>(rows_max * stride_);
    cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
  }
  ~Rig() { cudaStreamDestroy(stream_); }

  // Row i uses slot `slots[i]`.
  Drawn run(const std::vector<TestRow>& rows, const std::vector<uint32_t>& slots) {
    upload(rows, slots);
    const auto count = static_cast<uint32_t>(rows.size());
    const DeviceArray<SampledRow> sampled(count);
    const DeviceArray<ScoredId> top(size_t{count} * kTopScoresMax);
    const DeviceArray<int32_t> last(*std::max_element(slots.begin(), slots.end()) + 1);
    SamplerArgs args;
    args.logits = logits_.data();
    args.logits_stride = stride_;
    args.vocab_size = vocab_;
    args.rows = count;
    args.sampling = sampling_.data();
    args.biases = biases_.data();
    args.cells = cells_.data();
    args.last_token = last.data();
    args.sampled = sampled.data();
    args.top = top.data();
    cudaDeviceSynchronize();
    const Status status = sample(args, stream_);
    if (!status.is_ok()) check::fail(__FILE__, __LINE__, status.message());
    const cudaError_t finished = cudaStreamSynchronize(stream_);
    if (finished != cudaSuccess) check::fail(__FILE__, __LINE__, cudaGetErrorString(finished));
    return {sampled.read(), top.read(), last.read()};
  }

  std::vector<uint16_t> cells() const { return cells_.read(); }

 private:
  void upload(const std::vector<TestRow>& rows, const std::vector<uint32_t>& slots) {
    std::vector<TokenBias> biases;
    std::vector<SampleRow> packed_rows;
    std::vector<SlotHistory> histories;
    std::vector<uint32_t> ids;
    for (size_t i = 0; i < rows.size(); ++i) {
      packed_rows.push_back(packed(rows[i], static_cast<int32_t>(slots[i]), &biases));
      cudaMemcpy(logits_.data() + i * stride_,
                 rows[i].logits.data(),
                 vocab_ * sizeof(float),
                 cudaMemcpyHostToDevice);
      if (!has_penalties(rows[i].args)) continue;
      histories.push_back({static_cast<int32_t>(slots[i]),
                           static_cast<uint32_t>(ids.size()),
                           static_cast<uint32_t>(rows[i].history.size()),
                           rows[i].prompt_tokens});
      ids.insert(ids.end(), rows[i].history.begin(), rows[i].history.end());
    }
    biases.push_back({0, 0});
    ids.push_back(0);
    const auto count = static_cast<uint32_t>(histories.size());
    histories.push_back({});
    sampling_ = DeviceArray<SampleRow>(packed_rows);
    biases_ = DeviceArray<TokenBias>(biases);
    const DeviceArray<SlotHistory> device_histories(histories);
    const DeviceArray<uint32_t> device_ids(ids);
    cudaDeviceSynchronize();
    const Status status = renew_slots(
        {cells_.data(), vocab_, device_histories.data(), count, device_ids.data()}, stream_);
    if (!status.is_ok()) check::fail(__FILE__, __LINE__, status.message());
    cudaStreamSynchronize(stream_);
  }

  uint32_t vocab_;
  size_t stride_;
  DeviceArray<uint16_t> cells_;
  DeviceArray<float> logits_;
  DeviceArray<SampleRow> sampling_;
  DeviceArray<TokenBias> biases_;
  cudaStream_t stream_ = nullptr;
};

SampledToken on_cpu(Sampler* sampler, const TestRow& row) {
  std::vector<float> logits = row.logits;
  if (row.score_id >= 0) {
    return score_token(
        logits, static_cast<uint32_t>(row.score_id), static_cast<uint32_t>(row.args.logprobs));
  }
  SamplingArgs args = row.args;
  args.biases = row.biases;
  return sampler->sample({logits, &args, row.position, row.history, row.prompt_tokens, row.banned});
}

std::string describe(const TestRow& row, size_t index) {
  const SamplingArgs& a = row.args;
  return "row " + std::to_string(index) + " of " + std::to_string(row.logits.size()) + ": T " +
         std::to_string(a.temperature) + " k " + std::to_string(a.top_k) + " p " +
         std::to_string(a.top_p) + " min " + std::to_string(a.min_p) + " penalties " +
         std::to_string(has_penalties(a)) + " logprobs " + std::to_string(a.logprobs);
}

bool is_near(float a, float b) {
  return std::fabs(a - b) <= kLogprobError * std::max(1.0f, std::fabs(b));
}

void compare(const TestRow& row, size_t index, const SampledToken& want, const Drawn& got) {
  const SampledRow& drawn = got.rows[index];
  bool same = drawn.id == static_cast<int32_t>(want.id) && drawn.top_count == want.top.size();
  if (row.args.logprobs >= 0) same = same && is_near(drawn.logprob, want.logprob);
  for (size_t i = 0; same && i < want.top.size(); ++i) {
    const ScoredId& top = got.top[index * kTopScoresMax + i];
    same =
        top.id == static_cast<int32_t>(want.top[i].id) && is_near(top.logprob, want.top[i].logprob);
  }
  if (same) return;
  check::fail(__FILE__,
              __LINE__,
              describe(row, index) + ": drew " + std::to_string(drawn.id) + " (" +
                  std::to_string(drawn.logprob) + ", top " + std::to_string(drawn.top_count) +
                  "), the CPU " + std::to_string(want.id) + " (" + std::to_string(want.logprob) +
                  ", top " + std::to_string(want.top.size()) + ")");
}

std::vector<uint32_t> slots_of(size_t count) {
  std::vector<uint32_t> slots(count);
  for (size_t i = 0; i < count; ++i) slots[i] = static_cast<uint32_t>(count - 1 - i);
  return slots;
}

void expect_same(Rig* rig, uint32_t vocab, const std::vector<TestRow>& rows) {
  const std::vector<uint32_t> slots = slots_of(rows.size());
  const Drawn got = rig->run(rows, slots);
  Sampler sampler(vocab);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].is_padding) {
      CHECK_EQ(got.rows[i].id, -1);  // poison, untouched
      continue;
    }
    const SampledToken want = on_cpu(&sampler, rows[i]);
    compare(rows[i], i, want, got);
    if (rows[i].score_id < 0) CHECK_EQ(got.last[slots[i]], got.rows[i].id);
  }
}

std::vector<float> logits_of(uint32_t vocab, uint32_t style, FastRandom* random) {
  std::vector<float> logits(vocab);
  const float spread = style % 3 == 0 ? 1.0f : style % 3 == 1 ? 3.0f : 8.0f;
  for (float& logit : logits) {
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum += random->value();
    logit = sum * spread / 2;
    if (style % 5 == 1) logit = std::round(logit * 2) / 2;  // many ties
    if (style % 5 == 2 && random->below(3) == 0) logit = -HUGE_VALF;
    if (style % 11 == 3) logit = 1.25f;  // all equal
    if (style % 7 == 4 && random->below(1000) == 0) logit *= 20;
  }
  return logits;
}

template <typename T>
T pick(FastRandom* random, std::initializer_list<T> values) {
  return *(values.begin() + random->below(static_cast<uint32_t>(values.size())));
}

TestRow random_row(uint32_t vocab, uint32_t style, FastRandom* random) {
  TestRow row;
  SamplingArgs& a = row.args;
  row.logits = logits_of(vocab, style, random);
  a.temperature = pick(random, {0.0f, 0.3f, 0.7f, 1.0f, 1.0f, 1.3f, 2.0f});
  a.top_k = pick(random, {0u, 0u, 0u, 1u, 2u, 5u, 50u, 1000u, vocab - 1, vocab, vocab + 5});
  a.top_p = pick(random, {1.0f, 1.0f, 1.0f, 0.0f, 0.05f, 0.5f, 0.9f, 0.95f, 0.999f});
  a.min_p = pick(random, {0.0f, 0.0f, 0.0f, 0.01f, 0.1f, 0.9f, 1.0f});
  a.seed = random->next();
  a.choice = random->below(3);
  a.logprobs = pick(random, {-1, -1, 0, 1, 5, 20});
  row.position = random->below(3) == 0 ? random->next() : random->below(1000);
  if (random->below(3) == 0) {
    a.presence_penalty = pick(random, {0.0f, 0.5f, -1.5f});
    a.frequency_penalty = pick(random, {0.0f, 0.3f, -0.2f});
    a.repetition_penalty = pick(random, {1.0f, 1.1f, 0.8f});
    const uint32_t length = random->below(400);
    for (uint32_t i = 0; i < length; ++i) row.history.push_back(random->below(vocab));
    row.prompt_tokens = random->below(length + 1);
  }
  if (random->below(3) == 0) {
    std::set<uint32_t> ids;
    for (uint32_t i = 0; i < 1 + random->below(20); ++i) ids.insert(random->below(vocab));
    for (const uint32_t id : ids) row.biases.push_back({id, random->value() * 5});
  }
  for (uint32_t i = 0; random->below(4) == 0 && i < 5; ++i) {
    row.banned.push_back(random->below(vocab + 3));  // also past the vocabulary
  }
  if (random->below(10) == 0) {
    row.score_id = static_cast<int32_t>(random->below(vocab));
    a.logprobs = std::max(a.logprobs, 0);
  }
  row.is_padding = random->below(20) == 0;
  return row;
}

TEST("sampler: every option, on the device as on the CPU") {
  FastRandom random(5);
  for (const uint32_t vocab :
       {1u, 3u, 31u, 97u, 257u, 512u, 4096u, 32000u, 50257u, 128256u, 151936u}) {
    const uint32_t count = vocab > 40000 ? 48 : 96;
    Rig rig(vocab, count);
    std::vector<TestRow> rows;
    for (uint32_t i = 0; i < count; ++i) rows.push_back(random_row(vocab, i, &random));
    expect_same(&rig, vocab, rows);
  }
}

TEST("sampler: plain draws, many of them") {
  constexpr uint32_t kVocab = 5000;
  constexpr uint32_t kCount = 256;
  FastRandom random(6);
  Rig rig(kVocab, kCount);
  for (int round = 0; round < 8; ++round) {
    std::vector<TestRow> rows(kCount);
    for (TestRow& row : rows) {
      row.logits = logits_of(kVocab, static_cast<uint32_t>(round * 3), &random);
      row.args.seed = random.next();
      row.position = random.below(100);
    }
    expect_same(&rig, kVocab, rows);
  }
}

TEST("sampler: rows of nothing, of one id, and of what is no number") {
  constexpr uint32_t kVocab = 700;
  Rig rig(kVocab, 8);
  std::vector<TestRow> rows(8);
  for (TestRow& row : rows) {
    row.logits.assign(kVocab, -HUGE_VALF);
    row.args.logprobs = 3;
  }
  rows[1].logits[699] = -5;
  rows[2].logits.assign(kVocab, NAN);
  rows[3].logits.assign(kVocab, NAN);
  rows[3].logits[17] = 0.5f;
  rows[3].logits[600] = 0.25f;
  rows[3].args.top_k = 10;
  rows[4] = rows[3];
  rows[4].args.top_p = 0.5f;
  rows[4].args.logprobs = -1;
  rows[5].logits.assign(kVocab, -0.0f);
  for (uint32_t i = 0; i < kVocab; i += 2) rows[5].logits[i] = 0.0f;
  rows[5].args.top_k = 7;
  rows[6].logits.assign(kVocab, 88.5f);
  rows[6].logits[3] = 89.5f;
  rows[6].args.top_p = 0.3f;
  rows[7].logits.assign(kVocab, -3e38f);
  rows[7].args.temperature = 0.5f;
  rows[7].args.logprobs = -1;
  expect_same(&rig, kVocab, rows);
}

TEST("sampler: a row's place changes nothing, and its draws are counted") {
  constexpr uint32_t kVocab = 32000;
  FastRandom random(9);
  Rig rig(kVocab, 40);
  std::vector<TestRow> rows;
  for (uint32_t i = 0; i < 40; ++i) {
    TestRow row = random_row(kVocab, i, &random);
    row.is_padding = false;
    row.score_id = -1;
    rows.push_back(row);
  }
  const Drawn together = rig.run(rows, slots_of(40));
  for (size_t i = 0; i < rows.size(); ++i) {
    const Drawn alone = rig.run({rows[i]}, {7});
    CHECK_EQ(alone.rows[0].id, together.rows[i].id);
    CHECK_EQ(alone.rows[0].top_count, together.rows[i].top_count);
    if (rows[i].args.logprobs >= 0) CHECK_EQ(alone.rows[0].logprob, together.rows[i].logprob);
    if (!has_penalties(rows[i].args)) continue;
    const auto id = static_cast<uint32_t>(alone.rows[0].id);
    uint32_t said = 1;
    bool in_prompt = false;
    for (size_t t = 0; t < rows[i].history.size(); ++t) {
      const bool is_prompt = t < rows[i].prompt_tokens;
      if (rows[i].history[t] != id) continue;
      said += is_prompt ? 0 : 1;
      in_prompt = in_prompt || is_prompt;
    }
    const uint32_t cell = rig.cells()[size_t{7} * kVocab + id];
    CHECK_EQ(cell, said + (in_prompt ? kCellPrompt : 0));
  }
}

// Small enough for a memory checker.
TEST("sampler small: all paths once") {
  constexpr uint32_t kVocab = 1000;
  FastRandom random(11);
  Rig rig(kVocab, 24);
  std::vector<TestRow> rows;
  for (uint32_t i = 0; i < 24; ++i) rows.push_back(random_row(kVocab, i, &random));
  expect_same(&rig, kVocab, rows);
}

}  // namespace
}  // namespace sluice
