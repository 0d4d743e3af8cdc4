// Fuzzes the readers of files that nobody vouches for: JSON, safetensors headers, shard indexes and
// config.json. Seeds are real headers; mutations follow from a counted seed, so a failure is run
// again with the number that was printed last.
//
//   fuzz SECONDS [FIRST]
//
// It is worth running under the sanitizers only: what it looks for is their report.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/json.h"
#include "model/safetensors.h"
#include "random.h"
#include "tiny_model.h"

namespace sluice::check {
namespace {

constexpr uint64_t kDataBytes = 1 << 16;
constexpr uint32_t kMutationsMax = 6;
constexpr size_t kTextBytesMax = 1 << 16;

enum class Reader { kHeader, kIndex, kConfig };

struct Seed {
  Reader reader;
  std::string text;
};

std::string header_of(const TinyModel& model) {
  const std::string file = safetensors_bytes(model.stored);
  const auto length = static_cast<uint8_t>(file[0]) | static_cast<uint8_t>(file[1]) << 8;
  return file.substr(8, static_cast<size_t>(length));
}

std::vector<Seed> seeds() {
  TinySpec spec;
  spec.llama3 = true;
  spec.qkv_bias = true;
  TinySpec quantized;
  quantized.hidden = quantized.intermediate = 128;
  quantized.awq_group = 32;
  std::vector<Seed> all;
  for (const TinySpec& each : {spec, quantized}) {
    all.push_back({Reader::kHeader, header_of(TinyBuilder(each, 1).build())});
    all.push_back({Reader::kConfig, config_json(each)});
  }
  all.push_back({Reader::kHeader,
                 "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"BF16\",\"shape\":[2,3],"
                 "\"data_offsets\":[0,12]},\"b\":{\"dtype\":\"U8\",\"shape\":[65524],"
                 "\"data_offsets\":[12,65536]}}"});
  all.push_back({Reader::kIndex,
                 "{\"metadata\":{\"total_size\":1.5e9},\"weight_map\":{\"a\":\"model-00001-of-"
                 "00002.safetensors\",\"b\":\"model-00002-of-00002.safetensors\"}}"});
  return all;
}

// Tokens that mean something to these readers.
constexpr const char* kWords[] = {"{",
                                  "}",
                                  "[",
                                  "]",
                                  ",",
                                  ":",
                                  "\"",
                                  "null",
                                  "true",
                                  "-1",
                                  "0",
                                  "1e308",
                                  "1e309",
                                  "-",
                                  "\\u",
                                  "\\ud800",
                                  "\\\\",
                                  "18446744073709551615",
                                  "\xFF",
                                  "\xC0\x80",
                                  "\"a\":",
                                  "[[[[[[[[",
                                  "4294967296",
                                  "..",
                                  "/",
                                  "\"data_offsets\":[0,0]",
                                  "\"shape\":[4294967296,4294967296]",
                                  "\"rope_scaling\":{",
                                  "NaN",
                                  "1.0",
                                  "\0"};

void mutate(RandomSource* random, std::string* text) {
  const auto place = [&] { return text->empty() ? 0 : random->below(uint32_t(text->size())); };
  switch (random->below(6)) {
    case 0:
      if (!text->empty()) (*text)[place()] ^= static_cast<char>(1u << random->below(8));
      break;
    case 1:
      text->erase(place(), 1 + random->below(8));
      break;
    case 2:
      text->insert(place(), kWords[random->below(std::size(kWords))]);
      break;
    case 3: {
      const std::string piece = text->substr(place(), 1 + random->below(64));
      text->insert(place(), piece);
      break;
    }
    case 4:
      text->resize(place());
      break;
    default:
      if (!text->empty()) {
        const uint32_t at = place();
        const char* word = kWords[random->below(std::size(kWords))];
        text->replace(at, 1 + random->below(6), word);
      }
  }
  if (text->size() > kTextBytesMax) text->resize(kTextBytesMax);
}

// Accepted results must keep the promises that their users rely on.
void read(const Seed& seed, const std::string& text) {
  if (seed.reader == Reader::kHeader) {
    std::vector<TensorInfo> tensors;
    if (!parse_safetensors_header(text, 8, kDataBytes, &tensors).is_ok()) return;
    uint64_t end = 8;
    for (const TensorInfo& tensor : tensors) {
      SLUICE_CHECK_EQ(tensor.begin, end);
      end += tensor.bytes;
    }
    SLUICE_CHECK_EQ(end, kDataBytes + 8);
  } else if (seed.reader == Reader::kIndex) {
    std::vector<std::pair<std::string, std::string>> entries;
    if (!parse_shard_index(text, &entries).is_ok()) return;
    for (const auto& entry : entries) SLUICE_CHECK(entry.second.find('/') == std::string::npos);
  } else {
    ModelConfig config;
    if (!parse_config(text, 0, &config).is_ok()) return;
    SLUICE_CHECK(config.heads % config.kv_heads == 0 && config.head_dim % 8 == 0);
    SLUICE_CHECK(config.vocab_size > 0 && config.layers > 0 && config.rope.theta > 0);
  }
}

int fuzz(double seconds, uint64_t first) {
  const std::vector<Seed> all = seeds();
  const auto start = std::chrono::steady_clock::now();
  uint64_t number = first;
  uint64_t accepted = 0;
  for (;; ++number) {
    if (number % 256 == 0) {
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      if (elapsed.count() >= seconds) break;
    }
    RandomSource random(number);
    const Seed& seed = all[number % all.size()];
    std::string text = seed.text;
    const uint32_t mutations = 1 + random.below(kMutationsMax);
    for (uint32_t i = 0; i < mutations; ++i) mutate(&random, &text);
    JsonValue value;
    accepted += parse_json(text, &value).is_ok();
    read(seed, text);
  }
  std::printf("fuzz: %llu inputs from %llu on, %llu of them JSON, no fault\n",
              static_cast<unsigned long long>(number - first),
              static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(accepted));
  return 0;
}

}  // namespace
}  // namespace sluice::check

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: fuzz SECONDS [FIRST]\n");
    return 2;
  }
  const uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  return sluice::check::fuzz(std::atof(argv[1]), first);
}
