// engineOpen: loads a model folder on a thread of libuv's pool and starts its engine.
#pragma once

#include <napi.h>

namespace sluice::addon {

// (options, progress, receive) -> Promise<NativeOpened>, as in native.ts.
Napi::Value engine_open(const Napi::CallbackInfo& info);

}  // namespace sluice::addon
