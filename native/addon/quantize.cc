// Rows to calibrate on, perplexity before, the quantised file, perplexity after.
#include "addon/quantize.h"

#include <string>
#include <utility>
#include <vector>

#include "addon/convert.h"
#include "model/quantize/quantize.h"
#include "model/quantize/scoring.h"

namespace sluice::addon {
namespace {

struct Options {
  QuantizeArgs quantize;
  std::string out_folder;
  uint32_t held_out_rows = 0;
  WriteRowsArgs write;  // where no ids are given
  std::vector<uint32_t> ids;
};

QuantizeMethod to_method(const Field& method) {
  const std::string name = method.string();
  if (name == "int8") return QuantizeMethod::kInt8;
  return name == "round" ? QuantizeMethod::kRound : QuantizeMethod::kAwq;
}

Options to_options(const Field& options) {
  Options o;
  o.quantize.folder = options.at("folder").string();
  o.out_folder = options.at("outFolder").string();
  o.quantize.file = o.out_folder + "/model.safetensors";
  o.quantize.method = to_method(options.at("method"));
  o.quantize.group_inputs = options.at("groupInputs").u32();
  o.quantize.threads = options.at("threads").u32();
  o.write.folder = o.quantize.folder;
  o.write.rows = options.at("rows").u32();
  o.write.row_tokens = options.at("rowTokens").u32();
  o.held_out_rows = options.at("heldOutRows").u32();
  o.ids = options.at("ids").ids();
  o.write.start_ids = options.at("startIds").ids();
  o.write.eos_ids = options.at("eosIds").ids();
  return o;
}

struct Progress {
  const char* stage = nullptr;
  uint32_t done = 0;
  uint32_t total = 0;
};

// Progress that JavaScript had no time for is dropped.
class QuantizeWorker : public Napi::AsyncProgressWorker<Progress> {
 public:
  QuantizeWorker(Options options, Napi::Function progress)
      : AsyncProgressWorker(progress),
        options_(std::move(options)),
        deferred_(Napi::Promise::Deferred::New(progress.Env())) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute(const ExecutionProgress& progress) override { status_ = work(progress); }

  void OnProgress(const Progress* progress, size_t count) override {
    if (count == 0) return;
    const Napi::HandleScope scope(Env());
    const Progress& last = progress[count - 1];
    Callback().Call({Napi::String::New(Env(), last.stage),
                     Napi::Number::New(Env(), last.done),
                     Napi::Number::New(Env(), last.total)});
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (!status_.is_ok()) return deferred_.Reject(from_status(Env(), status_).Value());
    Napi::Object report = Napi::Object::New(Env());
    report.Set("perplexityBefore", before_);
    report.Set("perplexityAfter", after_);
    deferred_.Resolve(report);
  }

 private:
  Status work(const ExecutionProgress& progress) {
    const auto report = [&](const char* stage, uint32_t done, uint32_t total) {
      const Progress one{stage, done, total};
      progress.Send(&one, 1);
    };
    if (options_.ids.empty()) {
      report("writing", 0, options_.write.rows);
      SLUICE_RETURN_IF_ERROR(write_rows(options_.write, &options_.ids));
    }
    const uint32_t row_tokens = options_.write.row_tokens;
    const std::span<const uint32_t> ids = options_.ids;
    const uint64_t held_out = uint64_t{options_.held_out_rows} * row_tokens;
    const CalibrationRows held{ids.last(held_out), row_tokens};
    report("scoring", 0, 2);
    SLUICE_RETURN_IF_ERROR(measure_perplexity(options_.quantize.folder, held, &before_));
    QuantizeArgs& quantize = options_.quantize;
    quantize.calibration = {ids.first(ids.size() - held_out), row_tokens};
    quantize.progress = [&](uint32_t done, uint32_t total) { report("layer", done, total); };
    SLUICE_RETURN_IF_ERROR(quantize_model(quantize));
    report("scoring", 1, 2);
    return measure_perplexity(options_.out_folder, held, &after_);
  }

  Options options_;
  Napi::Promise::Deferred deferred_;
  Status status_;
  double before_ = 0;
  double after_ = 0;
};

}  // namespace

Napi::Value model_quantize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Field options("modelQuantize", "options", info[0]);
  const Field progress("modelQuantize", "progress", info[1]);
  Options converted = to_options(options);
  const uint32_t row_tokens = converted.write.row_tokens;
  const uint64_t rows = row_tokens == 0 ? 0 : converted.ids.size() / row_tokens;
  const bool is_whole = rows * row_tokens == converted.ids.size();
  const uint64_t there = converted.ids.empty() ? converted.write.rows : rows;
  const size_t start = converted.write.start_ids.size();
  if (row_tokens < 2 || !is_whole || converted.held_out_rows == 0 ||
      there <= converted.held_out_rows || start == 0 || start > row_tokens ||
      converted.quantize.group_inputs == 0) {
    throw Napi::RangeError::New(env, "modelQuantize: rows that are no rows");
  }
  // Freed by itself once it has resolved.
  auto* worker = new QuantizeWorker(std::move(converted), progress.function());
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace sluice::addon
