// What JavaScript holds of a model's grammars. The same tokens give the same grammars in every
// environment of the process. Compiling happens off JavaScript's thread.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/convert.h"
#include "engine/grammars.h"

namespace sluice::addon {

struct GrammarsHandle {
  static Napi::Value wrap(Napi::Env env, std::shared_ptr<Grammars> grammars);
  // Null where the field is.
  static std::shared_ptr<Grammars> unwrap(const Field& handle);
};

// grammarsOpen(tokens): cheap.
Napi::Value grammars_open(const Napi::CallbackInfo& info);
// grammarCheck(handle, kind, text): resolves to null, or to the sentence that says why not; rejects
// as EngineUnsupported where there is no library. An empty kind only prepares the first use.
Napi::Value grammar_check(const Napi::CallbackInfo& info);

}  // namespace sluice::addon
