// modelQuantize: a model folder to a quantised one, on a thread of libuv's pool.
#pragma once

#include <napi.h>

namespace sluice::addon {

// (options, progress) -> Promise<NativeQuantized>, as in native.ts.
Napi::Value model_quantize(const Napi::CallbackInfo& info);

}  // namespace sluice::addon
