// What JavaScript can call, in the order of src/generate/engine/native.ts: convert, check types,
// call. State is per environment (each engine's handle), so worker threads may load it side by
// side.
#include <napi.h>
#include <node_version.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "addon/convert.h"
#include "addon/engine_handle.h"
#include "addon/grammars_handle.h"
#include "addon/open.h"
#include "addon/quantize.h"
#include "engine/available_memory.h"
#include "model/device_backend.h"
#include "runtime/cpu_count.h"
#include "runtime/isa.h"

namespace sluice::addon {
namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

Napi::Value native_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Isa isa = Isa::kScalar;
  const Status status = choose_isa(&isa);
  if (!status.is_ok()) throw from_status(env, status);
  Napi::Object result = Napi::Object::New(env);
  result.Set("nodeVersion", NODE_VERSION);
  result.Set("cpu", cpu_name());
  result.Set("isa", isa_name(isa));
  result.Set("threads", usable_cores());
  result.Set("memoryAvailableBytes", static_cast<double>(available_memory_bytes()));
  return result;
}

Napi::Value native_devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::vector<DeviceFinding> findings = find_devices();
  Napi::Array result = Napi::Array::New(env, findings.size());
  for (uint32_t i = 0; i < findings.size(); ++i) {
    Napi::Object finding = Napi::Object::New(env);
    finding.Set("name", findings[i].name);
    finding.Set("usable", findings[i].usable);
    finding.Set("text", findings[i].text);
    result.Set(i, finding);
  }
  return result;
}

Napi::Value native_gauges(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::vector<DeviceGauges> gauges = read_device_gauges();
  Napi::Array result = Napi::Array::New(env, gauges.size());
  const auto known = [&](double value) -> Napi::Value {
    return value < 0 ? env.Null() : Napi::Value(Napi::Number::New(env, value));
  };
  for (uint32_t i = 0; i < gauges.size(); ++i) {
    Napi::Object device = Napi::Object::New(env);
    device.Set("utilisationPercent", known(gauges[i].utilisation_percent));
    device.Set("memoryUsedBytes", known(gauges[i].memory_used_bytes));
    device.Set("memoryTotalBytes", known(gauges[i].memory_total_bytes));
    device.Set("temperatureCelsius", known(gauges[i].temperature_celsius));
    device.Set("powerWatts", known(gauges[i].power_watts));
    result.Set(i, device);
  }
  return result;
}

Napi::Value engine_submit(const Napi::CallbackInfo& info) {
  const auto handle = EngineHandle::unwrap("engineSubmit", info[0]);
  const Field sequence("engineSubmit", "sequence", info[1]);
  return from_refusal(info.Env(), handle->engine().submit(to_submission(sequence)));
}

void engine_cancel(const Napi::CallbackInfo& info) {
  const auto handle = EngineHandle::unwrap("engineCancel", info[0]);
  handle->engine().cancel(Field("engineCancel", "sequence", info[1]).u32());
}

Napi::Value engine_stats(const Napi::CallbackInfo& info) {
  const auto handle = EngineHandle::unwrap("engineStats", info[0]);
  const EngineStats stats = handle->engine().stats();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("running", stats.running);
  result.Set("waiting", stats.waiting);
  result.Set("blocksFree", stats.blocks_free);
  result.Set("blocks", stats.blocks);
  result.Set("steps", static_cast<double>(stats.counts.steps));
  result.Set("prefixHitTokens", static_cast<double>(stats.counts.prefix_hit_tokens));
  result.Set("promptTokens", static_cast<double>(stats.counts.prompt_tokens));
  result.Set("preemptions", static_cast<double>(stats.counts.preemptions));
  result.Set("masks", static_cast<double>(stats.masks.count));
  result.Set("maskUsP50", stats.masks.p50_us);
  result.Set("maskUsP99", stats.masks.p99_us);
  result.Set("lastStepAtMs", static_cast<double>(stats.last_step_at_ms));
  return result;
}

// Joins off JavaScript's thread: a step may take a second.
class CloseWorker : public Napi::AsyncWorker {
 public:
  CloseWorker(Napi::Env env, std::shared_ptr<EngineHandle> handle)
      : AsyncWorker(env),
        handle_(std::move(handle)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }
  void Execute() override { handle_->stop(); }
  void OnOK() override {
    handle_->release();
    deferred_.Resolve(Env().Undefined());
  }

 private:
  const std::shared_ptr<EngineHandle> handle_;
  Napi::Promise::Deferred deferred_;
};

Napi::Value engine_close(const Napi::CallbackInfo& info) {
  // Freed by itself once it has resolved.
  auto* worker = new CloseWorker(info.Env(), EngineHandle::unwrap("engineClose", info[0]));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  // process.exit cleans up no environment: without this, statics would go while a step runs.
  static const int registered = std::atexit(stop_all_engines);
  if (registered != 0) throw Napi::Error::New(env, "atexit is full");
  exports.Set("nativeInfo", Napi::Function::New(env, native_info));
  exports.Set("nativeDevices", Napi::Function::New(env, native_devices));
  exports.Set("nativeGauges", Napi::Function::New(env, native_gauges));
  exports.Set("grammarsOpen", Napi::Function::New(env, grammars_open));
  exports.Set("grammarCheck", Napi::Function::New(env, grammar_check));
  exports.Set("engineOpen", Napi::Function::New(env, engine_open));
  exports.Set("engineSubmit", Napi::Function::New(env, engine_submit));
  exports.Set("engineCancel", Napi::Function::New(env, engine_cancel));
  exports.Set("engineStats", Napi::Function::New(env, engine_stats));
  exports.Set("engineClose", Napi::Function::New(env, engine_close));
  exports.Set("modelQuantize", Napi::Function::New(env, model_quantize));
  return exports;
}

}  // namespace

NODE_API_MODULE(sluice_engine, init)

}  // namespace sluice::addon
