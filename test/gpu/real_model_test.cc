// Real models on the device: their golden ids, and the CPU's engine beside it on the same text.
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "device_rig.h"
#include "model/json.h"
#include "runtime/input_file.h"

namespace sluice {
namespace {

using check::BackendDriver;
using check::DrivenSequence;

constexpr uint64_t kGoldenBytesMax = 1 << 20;

// Where the two likeliest ids are nearer than this, bf16 may take either; from there on the text is
// another one, and proves nothing.
constexpr float kNearTie = 0.1f;

struct Golden {
  std::vector<uint32_t> prompt;
  std::vector<uint32_t> wanted;
};

std::vector<uint32_t> ids_of(const JsonValue* array) {
  std::vector<uint32_t> ids;
  for (const JsonValue& item : array->items()) ids.push_back(static_cast<uint32_t>(*item.whole()));
  return ids;
}

std::vector<Golden> read_goldens(const std::string& folder) {
  std::string text;
  JsonValue golden;
  if (!read_text(folder + "/golden_greedy.json", kGoldenBytesMax, &text).is_ok()) return {};
  if (!parse_json(text, &golden).is_ok()) return {};
  std::vector<Golden> all;
  for (const JsonValue& item : golden.find("cases")->items()) {
    all.push_back({ids_of(item.find("prompt_ids")), ids_of(item.find("greedy_ids"))});
  }
  return all;
}

// How many ids agree, up to the end or to a near tie; -1: they part where there is none.
int agreeing(const Golden& golden, const DrivenSequence& found) {
  for (size_t i = 0; i < golden.wanted.size(); ++i) {
    if (found.drawn[i].id == golden.wanted[i]) continue;
    const auto& top = found.drawn[i].top;
    const bool is_tie = top.size() >= 2 && top[0].logprob - top[1].logprob < kNearTie &&
                        top[1].id == golden.wanted[i];
    return is_tie ? static_cast<int>(i) : -1;
  }
  return static_cast<int>(golden.wanted.size());
}

SamplingArgs greedy_with_top() {
  SamplingArgs args;
  args.temperature = 0;
  args.logprobs = 2;
  return args;
}

TEST("golden greedy ids, alone and together, up to near ties") {
  for (const char* name : {"/tales-11m", "/tales-11m-awq"}) {
    const std::string folder = check::models_folder() + name;
    if (!std::filesystem::exists(folder)) SKIP(folder + " is not here");
    const std::vector<Golden> goldens = read_goldens(folder);
    REQUIRE(!goldens.empty());
    const std::unique_ptr<Backend> backend = check::load_on_device(folder, false);
    REQUIRE(backend != nullptr);
    BackendDriver driver(backend.get(), {1024, 32, 2048});
    size_t longest = 0;
    for (const Golden& golden : goldens) longest = std::max(longest, golden.wanted.size());
    const auto outputs = static_cast<uint32_t>(longest);
    size_t agreed = 0;
    size_t total = 0;
    for (const uint32_t chunk : {2048u, 7u}) {
      driver.clear();
      for (const Golden& golden : goldens) driver.add(golden.prompt, outputs, greedy_with_top());
      driver.run(outputs, chunk);
      for (size_t i = 0; i < goldens.size(); ++i) {
        const int ids = agreeing(goldens[i], driver.sequences()[i]);
        CHECK(ids >= 0);
        agreed += static_cast<size_t>(std::max(ids, 0));
        total += goldens[i].wanted.size();
      }
    }
    std::printf("  %s: %zu of %zu ids before a near tie, %s\n",
                name,
                agreed,
                total,
                backend->info().device.c_str());
    CHECK(agreed * 2 > total);
  }
}

std::vector<SampledToken> scores_of(Backend* backend, const std::vector<uint32_t>& ids) {
  BackendDriver driver(backend, {128, 4, 1024});
  SamplingArgs args = greedy_with_top();
  args.prompt_logprobs = 10;
  driver.add(ids, 1, args);
  driver.run(1, 512);
  return driver.sequences()[0].prompt_scores;
}

TEST("the CPU's engine and the device's give the same text nearly the same logprobs") {
  for (const char* name : {"/tales-11m", "/tales-11m-awq"}) {
    const std::string folder = check::models_folder() + name;
    if (!std::filesystem::exists(folder)) SKIP(folder + " is not here");
    std::vector<uint32_t> text;
    for (const Golden& golden : read_goldens(folder)) {
      text.insert(text.end(), golden.prompt.begin(), golden.prompt.end());
      text.insert(text.end(), golden.wanted.begin(), golden.wanted.end());
    }
    text.resize(std::min<size_t>(text.size(), 900));
    LoadOptions options;
    options.folder = folder;
    options.dtype = "float32";
    std::unique_ptr<Backend> cpu;
    REQUIRE(load_cpu_backend(options, &cpu).is_ok());
    const std::unique_ptr<Backend> device = check::load_on_device(folder, false);
    REQUIRE(device != nullptr);
    const std::vector<SampledToken> wanted = scores_of(cpu.get(), text);
    const std::vector<SampledToken> found = scores_of(device.get(), text);
    REQUIRE(found.size() == wanted.size() && found.size() > 500);
    double worst = 0;
    double sum_found = 0;
    double sum_wanted = 0;
    size_t same_best = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      sum_found += static_cast<double>(found[i].logprob);
      sum_wanted += static_cast<double>(wanted[i].logprob);
      worst = std::max(worst,
                       std::fabs(static_cast<double>(found[i].logprob) -
                                 static_cast<double>(wanted[i].logprob)));
      same_best += found[i].top[0].id == wanted[i].top[0].id ? 1 : 0;
    }
    const auto count = static_cast<double>(found.size());
    const double off = std::exp(-sum_found / count) / std::exp(-sum_wanted / count) - 1;
    std::printf(
        "  %s: perplexity off by %.4f %%, worst logprob off by %.4f, best id equal %.2f %%\n",
        name,
        100 * off,
        worst,
        100 * static_cast<double>(same_best) / count);
    // A short text: the bound of a long one is 0.1 %.
    CHECK(std::fabs(off) < 0.005);
    CHECK(static_cast<double>(same_best) > 0.97 * count);
  }
}

}  // namespace
}  // namespace sluice
