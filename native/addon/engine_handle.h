// One open engine as JavaScript holds it, and everything about its lifetime. Whichever comes first
// stops it: engineClose, the collection of a dropped handle, the end of its environment (a worker
// thread's too), or the end of the process in the middle of a step. All wait for the running step.
//
//   engine's thread ── one call a step ──▶ thread-safe function ── JavaScript's thread ──▶ receive
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace sluice::addon {

// A packed step, or why the engine was lost.
struct Delivery {
  std::vector<uint32_t> step;
  std::string lost;
};

class EngineHandle : public std::enable_shared_from_this<EngineHandle> {
 public:
  // On JavaScript's thread. Starts the engine; what it says goes to `receive`.
  static std::shared_ptr<EngineHandle> start(Napi::Env env,
                                             std::unique_ptr<Engine> engine,
                                             Napi::Function receive);
  static Napi::Value wrap(Napi::Env env, const std::shared_ptr<EngineHandle>& handle);
  // Throws a TypeError where the value is no handle of ours.
  static std::shared_ptr<EngineHandle> unwrap(const char* function, Napi::Value value);

  Engine& engine() { return *engine_; }

  // Any thread: waits for the engine's thread. Idempotent.
  void stop() { engine_->stop(); }
  // JavaScript's thread, after stop: nothing more is delivered, and the loop may end.
  void release();

  // Of the thread-safe function: one delivery, on JavaScript's thread.
  void deliver(Napi::Env env, Napi::Function receive, const Delivery& delivery);

  ~EngineHandle();

 private:
  static void at_environment_end(void* self);
  static void call(Napi::Env env,
                   Napi::Function receive,
                   std::shared_ptr<EngineHandle>* self,
                   Delivery* delivery);
  using Receiver =
      Napi::TypedThreadSafeFunction<std::shared_ptr<EngineHandle>, Delivery, &EngineHandle::call>;

  EngineHandle(Napi::Env env, std::unique_ptr<Engine> engine);
  void send(std::unique_ptr<Delivery> delivery);

  const napi_env env_;
  std::unique_ptr<Engine> engine_;
  Receiver receiver_;
  bool released_ = false;
};

// Stops every engine of the process; for its end, when no environment is cleaned up.
void stop_all_engines();

}  // namespace sluice::addon
