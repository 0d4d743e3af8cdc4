// What loading refuses, by name, and what the dtype option does to weights.
#include <cmath>
#include <memory>
#include <string>

#include "backend_driver.h"
#include "check.h"
#include "tiny_model.h"

namespace sluice {
namespace {

using check::DrivenSequence;
using check::TemporaryFolder;
using check::TinyBuilder;
using check::TinyModel;
using check::TinySpec;

Status try_load(const TinyModel& model,
                const std::string& dtype,
                std::unique_ptr<Backend>* backend) {
  const TemporaryFolder folder;
  check::write_folder(model, folder);
  LoadOptions options;
  options.folder = folder.path();
  options.dtype = dtype;
  options.threads = 2;
  return load_cpu_backend(options, backend);
}

bool refuses(const TinyModel& model, const std::string& named, const std::string& dtype = "auto") {
  std::unique_ptr<Backend> backend;
  const Status status = try_load(model, dtype, &backend);
  const bool is_named = status.message().find(named) != std::string::npos;
  if (!status.is_ok() && !is_named) check::fail(__FILE__, __LINE__, status.message());
  return !status.is_ok() && is_named;
}

TinyModel tiny(const TinySpec& spec = {}) {
  return TinyBuilder(spec, 51).build();
}

const char kQuery[] = "model.layers.1.self_attn.q_proj";

TEST("a tensor that is missing, misshapen, strange or left over is refused by name") {
  TinyModel model = tiny();
  model.stored.erase("model.layers.1.self_attn.q_proj.weight");
  CHECK(refuses(model, kQuery));
  model = tiny();
  model.stored["model.layers.1.self_attn.q_proj.weight"].shape = {32, 128};
  CHECK(refuses(model, "F32 [32, 128], config.json makes it [64, 64]"));
  model = tiny();
  model.stored["model.layers.1.self_attn.q_proj.weight"].dtype = "I32";
  CHECK(refuses(model, "found I32; supported: F32, BF16, F16"));
  model = tiny();
  model.stored["model.layers.1.self_attn.q_proj.bias"] = {"F32", {1}, "1234"};
  CHECK(refuses(model, kQuery));
  model = tiny();
  model.stored["model.layers.2.input_layernorm.weight"] = {"F32", {1}, "1234"};
  CHECK(refuses(model, "model.layers.2.input_layernorm.weight"));
  model = tiny();
  model.stored["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"F32", {1}, "1234"};
  std::unique_ptr<Backend> backend;
  CHECK(try_load(model, "auto", &backend).is_ok());
}

TEST("an untied model without its head is refused, and so is one without its embedding") {
  TinyModel model = tiny();
  model.spec.config_extra = ",\"tie_word_embeddings\":false";
  model.stored.erase("lm_head.weight");
  CHECK(refuses(model, "lm_head.weight is missing"));
  model = tiny();
  model.spec.config_extra = ",\"tie_word_embeddings\":false";
  model.stored.erase("model.embed_tokens.weight");
  CHECK(refuses(model, "model.embed_tokens.weight is missing"));
}

TEST("AWQ tensors that do not fit their config are refused") {
  TinySpec spec;
  spec.hidden = 128;
  spec.intermediate = 256;
  spec.heads = 8;
  spec.awq_group = 32;
  const std::string query = std::string(kQuery);
  TinyModel model = tiny(spec);
  model.spec.awq_group = 64;
  CHECK(refuses(model, ".scales"));
  model = tiny(spec);
  model.stored[query + ".weight"] = {"F32", {1}, "1234"};
  CHECK(refuses(model, "both weight and qweight"));
  model = tiny(spec);
  model.stored[query + ".qweight"].dtype = "F32";
  CHECK(refuses(model, "supported: I32"));
  model = tiny(spec);
  model.stored.erase(query + ".scales");
  CHECK(refuses(model, ".scales is missing"));
  model = tiny(spec);
  model.spec.awq_group = 0;
  CHECK(refuses(model, "no quantization_config"));
  spec.hidden = 96;
  model = tiny(spec);
  model.spec.awq_group = 64;
  CHECK(refuses(model, "groups of 64"));
}

TEST("dtype converts dense weights, and refuses what float16 cannot hold") {
  std::unique_ptr<Backend> backend;
  for (const char* dtype : {"float32", "bfloat16", "float16"}) {
    REQUIRE(try_load(tiny(), dtype, &backend).is_ok());
    CHECK_EQ(backend->info().dtype, dtype);
  }
  REQUIRE(try_load(tiny(), "auto", &backend).is_ok());
  CHECK_EQ(backend->info().dtype, "float32");
  CHECK(refuses(tiny(), "supported: auto, float32, bfloat16, float16", "int8"));
  TinyModel model = tiny();
  const float large = 1e6f;
  std::memcpy(model.stored["model.layers.1.self_attn.q_proj.weight"].bytes.data(), &large, 4);
  CHECK(refuses(model, "beyond float16", "float16"));
}

std::vector<float> logprobs_of(Backend* backend) {
  check::BackendDriver driver(backend);
  SamplingArgs args;
  args.temperature = 0;
  args.logprobs = 0;
  driver.add({1, 2, 3, 4, 5}, 8, args);
  driver.run(8, 64);
  std::vector<float> logprobs;
  for (const SampledToken& token : driver.sequences()[0].drawn) logprobs.push_back(token.logprob);
  return logprobs;
}

TEST("float32 of a bf16 model computes the same bits as auto") {
  TinySpec spec;
  spec.dtype = DenseType::kBf16;
  const TinyModel model = tiny(spec);
  std::unique_ptr<Backend> stored;
  std::unique_ptr<Backend> widened;
  REQUIRE(try_load(model, "auto", &stored).is_ok());
  REQUIRE(try_load(model, "float32", &widened).is_ok());
  CHECK_EQ(stored->info().dtype, "bfloat16");
  CHECK_EQ(widened->info().dtype, "float32");
  CHECK(logprobs_of(stored.get()) == logprobs_of(widened.get()));
}

TEST("progress counts all bytes that are read, once") {
  const TemporaryFolder folder;
  check::write_folder(tiny(), folder);
  uint64_t last = 0;
  uint64_t total = 0;
  bool is_rising = true;
  LoadOptions options;
  options.folder = folder.path();
  options.progress = [&](uint64_t done, uint64_t all) {
    is_rising = is_rising && done > last;
    last = done;
    total = all;
  };
  std::unique_ptr<Backend> backend;
  REQUIRE(load_cpu_backend(options, &backend).is_ok());
  CHECK(is_rising);
  CHECK(total > 0);
  CHECK_EQ(last, total);
}

TEST("a config that is damaged or far too large is refused with its path") {
  const TemporaryFolder folder;
  check::write_folder(tiny(), folder);
  LoadOptions options;
  options.folder = folder.path();
  std::unique_ptr<Backend> backend;
  folder.write("config.json", "{");
  CHECK(load_cpu_backend(options, &backend).message().find("config.json") != std::string::npos);
  folder.write("config.json", std::string(2 << 20, ' '));
  CHECK_EQ(load_cpu_backend(options, &backend).code(), StatusCode::kTooLarge);
}

}  // namespace
}  // namespace sluice
