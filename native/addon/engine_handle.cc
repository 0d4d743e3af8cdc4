// Order at the end: the engine's thread first, then the thread-safe function it calls.
#include "addon/engine_handle.h"

#include <algorithm>
#include <cstring>
#include <mutex>

namespace sluice::addon {
namespace {

constexpr napi_type_tag kHandleTag = {0x51c3e1a7b2f04d68, 0x9a8e7d2c5b1f4063};

// Never destroyed: engines may still be running while statics are.
struct Registry {
  std::mutex mutex;
  std::vector<EngineHandle*> handles;
};

Registry& registry() {
  static Registry* const all = new Registry;
  return *all;
}

}  // namespace

EngineHandle::EngineHandle(Napi::Env env, std::unique_ptr<Engine> engine)
    : env_(env), engine_(std::move(engine)) {
  const std::lock_guard lock(registry().mutex);
  registry().handles.push_back(this);
}

EngineHandle::~EngineHandle() {
  {
    const std::lock_guard lock(registry().mutex);
    std::vector<EngineHandle*>& handles = registry().handles;
    handles.erase(std::remove(handles.begin(), handles.end(), this), handles.end());
  }
  stop();
}

std::shared_ptr<EngineHandle> EngineHandle::start(Napi::Env env,
                                                  std::unique_ptr<Engine> engine,
                                                  Napi::Function receive) {
  std::shared_ptr<EngineHandle> handle(new EngineHandle(env, std::move(engine)));
  // The queue itself is unlimited; the engine holds its next step at kStepsUnreadMax.
  handle->receiver_ = Receiver::New(
      env,
      receive,
      "sluice engine",
      0,
      1,
      new std::shared_ptr<EngineHandle>(handle),
      [](Napi::Env, void*, std::shared_ptr<EngineHandle>* self) { delete self; },
      static_cast<void*>(nullptr));
  // Added after the thread-safe function's own hook, so it runs before it.
  napi_add_env_cleanup_hook(env, at_environment_end, handle.get());
  EngineHandle* const self = handle.get();
  handle->engine_->start(
      {.step =
           [self](std::vector<uint32_t> packed) {
             self->send(std::make_unique<Delivery>(Delivery{std::move(packed), {}}));
           },
       .lost =
           [self](std::string message) {
             self->send(std::make_unique<Delivery>(Delivery{{}, std::move(message)}));
           }});
  return handle;
}

Napi::Value EngineHandle::wrap(Napi::Env env, const std::shared_ptr<EngineHandle>& handle) {
  auto external = Napi::External<std::shared_ptr<EngineHandle>>::New(
      env,
      new std::shared_ptr<EngineHandle>(handle),
      [](Napi::Env, std::shared_ptr<EngineHandle>* held) {
        (*held)->stop();
        (*held)->release();
        delete held;
      });
  external.TypeTag(&kHandleTag);
  return external;
}

std::shared_ptr<EngineHandle> EngineHandle::unwrap(const char* function, Napi::Value value) {
  const bool ours =
      value.IsExternal() && value.As<Napi::External<void>>().CheckTypeTag(&kHandleTag);
  if (!ours) {
    throw Napi::TypeError::New(value.Env(),
                               std::string(function) + ": handle must be an open engine's");
  }
  return *value.As<Napi::External<std::shared_ptr<EngineHandle>>>().Data();
}

void EngineHandle::release() {
  if (released_) return;
  released_ = true;
  napi_remove_env_cleanup_hook(env_, at_environment_end, this);
  receiver_.Release();
}

// The thread-safe function ends by itself with its environment; it must not be touched after this.
void EngineHandle::at_environment_end(void* self) {
  auto* const handle = static_cast<EngineHandle*>(self);
  handle->stop();
  handle->released_ = true;
}

void EngineHandle::send(std::unique_ptr<Delivery> delivery) {
  // Refused only while the environment ends, when nobody waits for it.
  if (receiver_.NonBlockingCall(delivery.get()) == napi_ok) delivery.release();
}

void EngineHandle::call(Napi::Env env,
                        Napi::Function receive,
                        std::shared_ptr<EngineHandle>* self,
                        Delivery* raw) {
  const std::unique_ptr<Delivery> delivery(raw);
  if (env == nullptr || self == nullptr || *self == nullptr) return;
  (*self)->deliver(env, receive, *delivery);
}

void EngineHandle::deliver(Napi::Env env, Napi::Function receive, const Delivery& delivery) {
  const bool lost = !delivery.lost.empty();
  // Before the call: a receiver that throws has read it all the same.
  if (!lost) engine_->step_read();
  if (released_) return;
  if (lost) {
    receive.Call({env.Null(), Napi::String::New(env, delivery.lost)});
    return;
  }
  const size_t bytes = delivery.step.size() * sizeof(uint32_t);
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, bytes);
  std::memcpy(buffer.Data(), delivery.step.data(), bytes);
  receive.Call({buffer, env.Null()});
}

void stop_all_engines() {
  const std::lock_guard lock(registry().mutex);
  for (EngineHandle* handle : registry().handles) handle->stop();
}

}  // namespace sluice::addon
