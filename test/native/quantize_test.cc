// Quantised folders: what the loader reads of them is what the grids say, for every way in which a
// layer may differ, and what cannot be quantised is refused with what can.
#include "model/quantize/quantize.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "check.h"
#include "kernels/dtype.h"
#include "kernels/matmul.h"
#include "model/model_load.h"
#include "model/quantize/grid.h"
#include "model/quantize/scoring.h"
#include "tiny_families.h"

namespace sluice {
namespace {

using check::TemporaryFolder;
using check::TinyBuilder;
using check::TinySpec;

constexpr char kAwqConfig[] =
    R"(,"quantization_config":{"quant_method":"awq","bits":4,"group_size":32,)"
    R"("zero_point":true,"version":"gemm"}})";
constexpr char kInt8Config[] =
    R"(,"quantization_config":{"quant_method":"compressed-tensors","config_groups":{"group_0":)"
    R"({"weights":{"num_bits":8,"type":"int","strategy":"channel"}}}}})";

TinySpec divisible() {
  TinySpec spec;
  spec.intermediate = 96;
  return spec;
}

std::vector<std::pair<const char*, TinySpec>> layers_of_all_kinds() {
  std::vector<std::pair<const char*, TinySpec>> all = {{"grouped heads", divisible()}};
  TinySpec biased = divisible();
  biased.kv_heads = biased.heads;
  biased.qkv_bias = biased.output_bias = biased.mlp_bias = true;
  all.push_back({"all biases, no grouping", biased});
  TinySpec normed = check::family("qwen3", "Qwen3ForCausalLM");
  normed.intermediate = 96;
  normed.qk_norm = true;
  normed.head_dim = 32;
  normed.head = check::HeadStorage::kEmbeddingOnly;
  normed.dtype = DenseType::kBf16;
  all.push_back({"query and key norms, tied, bf16", normed});
  return all;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The source's config with one more member.
void write_config(const TemporaryFolder& from, const TemporaryFolder& to, const char* member) {
  std::string text = text_of(from.path("config.json"));
  text.resize(text.rfind('}'));
  to.write("config.json", text + member);
}

QuantizeArgs quantize_args(const TemporaryFolder& from,
                           const TemporaryFolder& to,
                           QuantizeMethod method) {
  QuantizeArgs args;
  args.folder = from.path();
  args.file = to.path("model.safetensors");
  args.method = method;
  args.group_inputs = 32;
  args.threads = 2;
  return args;
}

std::vector<uint32_t> rows_of(uint32_t count, uint32_t vocab) {
  std::vector<uint32_t> ids(count);
  for (uint32_t i = 0; i < count; ++i) ids[i] = (i * i * 31 + i * 7) % vocab;
  return ids;
}

LoadedModel load(const TemporaryFolder& folder, ThreadPool* pool) {
  LoadedModel model;
  LoadOptions options;
  options.folder = folder.path();
  const Status status = load_model(options, pool, &model);
  if (!status.is_ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  SLUICE_CHECK(status.is_ok());
  return model;
}

float scaled_weight(const Matrix& matrix, uint32_t n, uint32_t k) {
  const float weight = weight_at(matrix, n, k);
  if (matrix.type != WeightType::kInt4) return weight;
  const uint64_t group = uint64_t{n / kStripOutputs} * matrix.groups() + k / matrix.group_inputs;
  return weight * matrix.scales[group * kStripOutputs + n % kStripOutputs];
}

TEST("rounded weights are read as their groups' grids have them") {
  ThreadPool pool(2);
  for (const auto& [name, spec] : layers_of_all_kinds()) {
    const TemporaryFolder from;
    const TemporaryFolder to;
    check::write_folder(TinyBuilder(spec, 5).build(), from);
    CHECK(quantize_model(quantize_args(from, to, QuantizeMethod::kRound)).is_ok());
    write_config(from, to, kAwqConfig);
    const LoadedModel dense = load(from, &pool);
    const LoadedModel rounded = load(to, &pool);
    const Matrix& before = dense.weights.layers[1].down.parts[0].matrix;
    const Matrix& after = rounded.weights.layers[1].down.parts[0].matrix;
    CHECK(after.type == WeightType::kInt4);
    FloatMatrix wanted = widen_matrix(before, &pool);
    round_matrix(32, &pool, &wanted);
    double error = 0;
    double size = 0;
    for (uint32_t n = 0; n < wanted.outputs; ++n) {
      for (uint32_t k = 0; k < wanted.inputs; ++k) {
        CHECK_EQ(scaled_weight(after, n, k), wanted.row(n)[k]);
        const auto off = static_cast<double>(wanted.row(n)[k] - weight_at(before, n, k));
        error += off * off;
        size += static_cast<double>(weight_at(before, n, k) * weight_at(before, n, k));
      }
    }
    CHECK(error > 0);
    CHECK(error < 0.02 * size);
  }
}

TEST("AWQ keeps what a layer of any kind computes, and 8 bits keep it closer") {
  for (const auto& [name, spec] : layers_of_all_kinds()) {
    const TemporaryFolder from;
    check::write_folder(TinyBuilder(spec, 6).build(), from);
    const std::vector<uint32_t> ids = rows_of(64 * 6, spec.vocab);
    const CalibrationRows calibration{{ids.data(), 64 * 4}, 64};
    const CalibrationRows held_out{{ids.data() + 64 * 4, 64 * 2}, 64};
    double before = 0;
    REQUIRE(measure_perplexity(from.path(), held_out, &before).is_ok());
    CHECK(before > 1);
    for (const QuantizeMethod method : {QuantizeMethod::kAwq, QuantizeMethod::kInt8}) {
      const TemporaryFolder to;
      QuantizeArgs args = quantize_args(from, to, method);
      args.calibration = calibration;
      uint32_t layers = 0;
      args.progress = [&](uint32_t, uint32_t total) {
        ++layers;
        CHECK_EQ(total, spec.layers);
      };
      REQUIRE(quantize_model(args).is_ok());
      CHECK_EQ(layers, spec.layers);
      const bool is_awq = method == QuantizeMethod::kAwq;
      write_config(from, to, is_awq ? kAwqConfig : kInt8Config);
      double after = 0;
      const Status scored = measure_perplexity(to.path(), held_out, &after);
      if (!scored.is_ok()) std::fprintf(stderr, "%s: %s\n", name, scored.message().c_str());
      REQUIRE(scored.is_ok());
      // Random models are very sure of themselves: what counts is the share of the log.
      const double change = std::fabs(std::log(after / before)) / std::log(before);
      CHECK(change < (is_awq ? 0.03 : 0.003));
    }
  }
}

// Mean squared change of the log probability of one id after each of many others.
double changed_by(const TemporaryFolder& from, const TemporaryFolder& to) {
  constexpr uint32_t kRows = 48;
  double sum = 0;
  for (uint32_t i = 0; i < kRows; ++i) {
    const std::vector<uint32_t> ids = {i % 97, (i * 29 + 11) % 97, (i * 7 + 3) % 97};
    double before = 0;
    double after = 0;
    SLUICE_CHECK(measure_perplexity(from.path(), {ids, 3}, &before).is_ok());
    SLUICE_CHECK(measure_perplexity(to.path(), {ids, 3}, &after).is_ok());
    const double change = std::log(after / before);
    sum += change * change;
  }
  return sum / kRows;
}

TEST("where some activations are large, AWQ loses less than rounding does") {
  check::TinyModel model = TinyBuilder(divisible(), 9).build();
  for (const char* name : {"input_layernorm", "post_attention_layernorm"}) {
    for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
      std::string& bytes = model.stored.at(std::string(layer) + name + ".weight").bytes;
      for (const size_t channel : {3u, 17u, 40u}) {
        float value;
        std::memcpy(&value, &bytes[channel * 4], 4);
        value *= 12;
        std::memcpy(&bytes[channel * 4], &value, 4);
      }
    }
  }
  const TemporaryFolder from;
  check::write_folder(model, from);
  const std::vector<uint32_t> ids = rows_of(64 * 4, 97);
  double changes[2] = {};
  const QuantizeMethod methods[] = {QuantizeMethod::kAwq, QuantizeMethod::kRound};
  for (int i = 0; i < 2; ++i) {
    const TemporaryFolder to;
    QuantizeArgs args = quantize_args(from, to, methods[i]);
    args.calibration = {ids, 64};
    REQUIRE(quantize_model(args).is_ok());
    write_config(from, to, kAwqConfig);
    changes[i] = changed_by(from, to);
  }
  CHECK(changes[0] > 0);
  CHECK(changes[0] < 0.8 * changes[1]);
}

TEST("the same folder writes the same rows, and a new text after an end") {
  const TemporaryFolder from;
  check::write_folder(TinyBuilder(divisible(), 7).build(), from);
  WriteRowsArgs args;
  args.folder = from.path();
  args.rows = 3;
  args.row_tokens = 40;
  args.start_ids = {1, 2};
  for (uint32_t id = 10; id < 60; ++id) args.eos_ids.push_back(id);
  std::vector<uint32_t> once;
  std::vector<uint32_t> again;
  REQUIRE(write_rows(args, &once).is_ok());
  REQUIRE(write_rows(args, &again).is_ok());
  REQUIRE(once.size() == 120);
  CHECK(once == again);
  CHECK(!std::equal(once.begin(), once.begin() + 40, once.begin() + 40));
  for (uint32_t row = 0; row < 3; ++row) {
    CHECK_EQ(once[row * 40], 1u);
    for (uint32_t i = 0; i + 2 < 40; ++i) {
      const uint32_t id = once[row * 40 + i];
      if (id >= 10 && id < 60) CHECK_EQ(once[row * 40 + i + 1], 1u);
    }
  }
}

TEST("what cannot be quantised is refused with what can") {
  const TemporaryFolder from;
  const TemporaryFolder to;
  check::write_folder(TinyBuilder(divisible(), 8).build(), from);
  QuantizeArgs args = quantize_args(from, to, QuantizeMethod::kRound);
  args.group_inputs = 64;
  const Status group = quantize_model(args);
  CHECK(group.code() == StatusCode::kUnsupported);
  CHECK(group.message().find("groups of 64 do not divide its 96 inputs") != std::string::npos);
  CHECK(group.message().find("--group 32 would") != std::string::npos);
  args.group_inputs = 32;
  REQUIRE(quantize_model(args).is_ok());
  write_config(from, to, kAwqConfig);
  const TemporaryFolder twice;
  const Status again = quantize_model(quantize_args(to, twice, QuantizeMethod::kRound));
  CHECK(again.code() == StatusCode::kUnsupported);
  CHECK(again.message().find("quantised already") != std::string::npos);
  TinySpec large = divisible();
  large.vocab = 50;
  const TemporaryFolder small;
  check::write_folder(TinyBuilder(large, 8).build(), small);
  const std::vector<uint32_t> ids = {1, 2, 50, 3};
  double perplexity = 0;
  const Status strange = measure_perplexity(small.path(), {ids, 4}, &perplexity);
  CHECK(strange.code() == StatusCode::kInvalid);
}

TEST("cuts and grids of groups that are all one value, or none") {
  const float zeros[4] = {};
  CHECK_EQ(grid_of(zeros).round(0), 0.0f);
  const float same[4] = {0.5f, 0.5f, 0.5f, 0.5f};
  CHECK(std::fabs(grid_of(same).round(0.5f) - 0.5f) < 0.02f);
  const float wide[4] = {-1, 0, 0.25f, 2};
  const GroupGrid grid = grid_of(wide);
  for (const float weight : wide) CHECK(std::fabs(grid.round(weight) - weight) <= 0.11f);
  CHECK_EQ(grid.round(0), 0.0f);
}

}  // namespace
}  // namespace sluice
