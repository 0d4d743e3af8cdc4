// Greedy ids of real models against the golden files beside them, through Backend alone.
//
//   golden MODELS [SMOLLM2]
//
// MODELS is the folder that holds stories260K-hf, infinitensor-story, tales-11m, tales-11m-awq and
// smollm2/golden_greedy.json; SMOLLM2 the Hugging Face folder of that model, which is not kept
// here. Each prompt runs alone, then all of a model's prompts run together in chunks of 7 tokens.
#include <cstdio>
#include <string>
#include <vector>

#include "backend_driver.h"
#include "model/json.h"
#include "runtime/input_file.h"

namespace sluice::check {
namespace {

constexpr uint64_t kGoldenBytesMax = 1 << 20;

struct Case {
  std::string name;
  std::vector<uint32_t> prompt;
  std::vector<uint32_t> wanted;
};

std::vector<uint32_t> ids_of(const JsonValue* array) {
  std::vector<uint32_t> ids;
  for (const JsonValue& item : array->items()) ids.push_back(static_cast<uint32_t>(*item.whole()));
  return ids;
}

JsonValue read_golden(const std::string& path) {
  std::string text;
  JsonValue golden;
  Status status = read_text(path, kGoldenBytesMax, &text);
  if (status.is_ok()) status = parse_json(text, &golden);
  if (!status.is_ok()) std::printf("%s\n", status.message().c_str());
  return golden;
}

struct GoldenFile {
  std::string path;
  // How many of its ids are the prompt, where it holds one list of ids and not cases.
  uint32_t prompt_tokens = 0;
};

// Three shapes of golden file: ids from the prompt's first on, and two lists of cases.
std::vector<Case> read_cases(const GoldenFile& file) {
  const std::string& path = file.path;
  const JsonValue golden = read_golden(path);
  std::vector<Case> cases;
  if (const JsonValue* ids = golden.find("ids")) {
    const std::vector<uint32_t> all = ids_of(ids);
    const auto split = all.begin() + file.prompt_tokens;
    cases.push_back({path, {all.begin(), split}, {split, all.end()}});
    return cases;
  }
  const bool is_named = golden.find("cases") == nullptr;
  const JsonValue* list = golden.find(is_named ? "prompts" : "cases");
  if (list == nullptr) return cases;
  for (const JsonValue& item : list->items()) {
    cases.push_back({item.find(is_named ? "name" : "prompt")->text(),
                     ids_of(item.find("prompt_ids")),
                     ids_of(item.find(is_named ? "ids" : "greedy_ids"))});
  }
  return cases;
}

bool agrees(const Case& golden, const DrivenSequence& sequence, const char* how) {
  for (size_t i = 0; i < golden.wanted.size(); ++i) {
    const uint32_t found = sequence.ids[golden.prompt.size() + i];
    if (found == golden.wanted[i]) continue;
    std::printf("  %s (%s): id %u at output %zu, golden %u\n",
                golden.name.c_str(),
                how,
                found,
                i,
                golden.wanted[i]);
    return false;
  }
  return true;
}

bool check_model(const std::string& folder, const std::vector<GoldenFile>& goldens) {
  std::vector<Case> cases;
  for (const GoldenFile& file : goldens) {
    for (Case& golden : read_cases(file)) cases.push_back(std::move(golden));
  }
  LoadOptions options;
  options.folder = folder;
  std::unique_ptr<Backend> backend;
  const Status loaded = load_cpu_backend(options, &backend);
  if (!loaded.is_ok() || cases.empty()) {
    std::printf("%s: %s\n", folder.c_str(), loaded.message().c_str());
    return false;
  }
  SamplingArgs greedy;
  greedy.temperature = 0;
  BackendDriver driver(backend.get());
  bool all_agree = true;
  uint32_t tokens = 0;
  uint32_t longest = 0;
  for (const Case& golden : cases) {
    const auto count = static_cast<uint32_t>(golden.wanted.size());
    driver.clear();
    driver.add(golden.prompt, count, greedy);
    driver.run(count, 512);
    all_agree = agrees(golden, driver.sequences()[0], "alone") && all_agree;
    tokens += count;
    longest = std::max(longest, count);
  }
  driver.clear();
  for (const Case& golden : cases) driver.add(golden.prompt, longest, greedy);
  driver.run(longest, 7);
  for (size_t i = 0; i < cases.size(); ++i) {
    all_agree = agrees(cases[i], driver.sequences()[i], "together") && all_agree;
  }
  std::printf("%s: %s, %zu prompts, %u ids, %s on %s\n",
              all_agree ? "equal" : "DIFFERENT",
              folder.c_str(),
              cases.size(),
              tokens,
              backend->info().dtype.c_str(),
              backend->info().device.c_str());
  return all_agree;
}

}  // namespace
}  // namespace sluice::check

int main(int argc, char** argv) {
  using sluice::check::check_model;
  if (argc < 2) {
    std::fprintf(stderr, "usage: golden MODELS [SMOLLM2]\n");
    return 2;
  }
  const std::string models = argv[1];
  const std::string tiny = models + "/stories260K-hf";
  const std::string story = models + "/infinitensor-story";
  const std::string once = "/golden_greedy_once_upon_a_time.json";
  bool all = true;
  all = check_model(tiny, {{tiny + "/golden_greedy_bos.json", 1}, {tiny + once, 5}}) && all;
  all = check_model(story, {{story + once, 6}}) && all;
  for (const char* name : {"/tales-11m", "/tales-11m-awq"}) {
    all = check_model(models + name, {{models + name + "/golden_greedy.json"}}) && all;
  }
  if (argc > 2) all = check_model(argv[2], {{models + "/smollm2/golden_greedy.json"}}) && all;
  return all ? 0 : 1;
}
