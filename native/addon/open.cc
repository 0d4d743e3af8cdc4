// The weights are read and the KV memory taken off JavaScript's thread.
#include "addon/open.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "addon/convert.h"
#include "addon/engine_handle.h"
#include "engine/engine.h"
#include "engine/kv_budget.h"
#include "model/device_backend.h"

namespace sluice::addon {
namespace {

struct OpenOptions {
  LoadOptions load;
  DeviceWish device = DeviceWish::kAuto;
  EngineLimits limits;
  uint64_t kv_bytes = 0;
  std::optional<uint64_t> swap_bytes;
  std::vector<uint32_t> eos_ids;
};

DeviceWish to_wish(const Field& device) {
  const std::string name = device.string();
  if (name == "cpu") return DeviceWish::kCpu;
  return name == "cuda" ? DeviceWish::kCuda : DeviceWish::kAuto;
}

OpenOptions to_options(const Field& options) {
  OpenOptions o;
  o.load.folder = options.at("folder").string();
  o.load.dtype = options.at("dtype").string();
  o.device = to_wish(options.at("device"));
  o.load.device_memory = options.at("deviceMemory").number();
  o.load.deterministic = options.at("deterministic").boolean();
  o.load.threads = options.at("threads").u32();
  o.load.context_tokens_max = options.at("contextTokensMax").u32();
  o.limits.sequences_max = options.at("sequencesMax").u32();
  o.limits.batch_tokens_max = options.at("batchTokensMax").u32();
  o.limits.chunk_tokens_max = options.at("chunkTokensMax").u32();
  o.limits.waiting_max = options.at("waitingMax").u32();
  o.kv_bytes = options.at("kvBytes").u64();
  const Field swap_bytes = options.at("swapBytes");
  if (!swap_bytes.is_null()) o.swap_bytes = swap_bytes.u64();
  o.limits.prefix_cache = options.at("prefixCache").boolean();
  o.eos_ids = options.at("eosIds").ids();
  return o;
}

struct Progress {
  uint64_t done = 0;
  uint64_t total = 0;
};

// Progress that JavaScript had no time for is dropped.
class OpenWorker : public Napi::AsyncProgressWorker<Progress> {
 public:
  OpenWorker(OpenOptions options, Napi::Function progress, Napi::Function receive)
      : AsyncProgressWorker(progress),
        options_(std::move(options)),
        deferred_(Napi::Promise::Deferred::New(receive.Env())),
        receive_(Napi::Persistent(receive)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute(const ExecutionProgress& progress) override {
    options_.load.progress = [&progress](uint64_t done, uint64_t total) {
      const Progress report{done, total};
      progress.Send(&report, 1);
    };
    status_ = open();
  }

  void OnProgress(const Progress* progress, size_t count) override {
    if (count == 0) return;
    const Napi::HandleScope scope(Env());
    const Progress& last = progress[count - 1];
    Callback().Call({Napi::Number::New(Env(), static_cast<double>(last.done)),
                     Napi::Number::New(Env(), static_cast<double>(last.total))});
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (!status_.is_ok()) return deferred_.Reject(from_status(Env(), status_).Value());
    const BackendInfo info = engine_->info();
    const EngineLimits limits = engine_->limits();
    const auto handle = EngineHandle::start(Env(), std::move(engine_), receive_.Value());
    Napi::Object opened = Napi::Object::New(Env());
    opened.Set("handle", EngineHandle::wrap(Env(), handle));
    opened.Set("device", info.device);
    opened.Set("dtype", info.dtype);
    opened.Set("deviceNote", note_);
    opened.Set("memory", memory_table(info.memory));
    opened.Set("vocabSize", info.vocab_size);
    opened.Set("contextTokensMax", info.context_tokens_max);
    opened.Set("sequencesMax", limits.sequences_max);
    opened.Set("blocks", limits.blocks);
    opened.Set("blockTokens", kBlockTokens);
    deferred_.Resolve(opened);
  }

 private:
  Napi::Array memory_table(const std::vector<MemoryPart>& parts) {
    Napi::Array table = Napi::Array::New(Env(), parts.size());
    for (uint32_t i = 0; i < parts.size(); ++i) {
      Napi::Object part = Napi::Object::New(Env());
      part.Set("name", parts[i].name);
      part.Set("bytes", static_cast<double>(parts[i].bytes));
      table.Set(i, part);
    }
    return table;
  }

  Status open() {
    std::unique_ptr<Backend> backend;
    SLUICE_RETURN_IF_ERROR(load_backend(options_.device, options_.load, &backend, &note_));
    EngineLimits& limits = options_.limits;
    uint64_t kv_bytes = options_.kv_bytes;
    if (kv_bytes == 0) {
      SLUICE_RETURN_IF_ERROR(
          backend->kv_bytes_max(limits.sequences_max, limits.batch_tokens_max, &kv_bytes));
    }
    SLUICE_RETURN_IF_ERROR(choose_blocks(backend->info(), kv_bytes, options_.swap_bytes, &limits));
    return Engine::open(std::move(backend), options_.limits, std::move(options_.eos_ids), &engine_);
  }

  OpenOptions options_;
  Napi::Promise::Deferred deferred_;
  Napi::FunctionReference receive_;
  Status status_;
  std::string note_;  // why a device is not used; empty where one is, or none was wished for
  std::unique_ptr<Engine> engine_;
};

}  // namespace

Napi::Value engine_open(const Napi::CallbackInfo& info) {
  const Field options("engineOpen", "options", info[0]);
  const Field progress("engineOpen", "progress", info[1]);
  const Field receive("engineOpen", "receive", info[2]);
  OpenOptions converted = to_options(options);
  const Napi::Function report = progress.function();
  // Freed by itself once it has resolved.
  auto* worker = new OpenWorker(std::move(converted), report, receive.function());
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace sluice::addon
