// Which sequences the engine takes at all: the checks that need no state, so they run on the
// submitting thread. src/generate/engine/admissible.ts decides the same for the scripted engine.
#pragma once

#include <cstdint>

#include "engine/limits.h"
#include "engine/sequence.h"

namespace sluice {

// Their names cross to TypeScript (native/addon/convert.cc).
// kUnsupported: it has a grammar, and the backend knows no masks.
enum class Refusal { kNone, kQueueFull, kTooLong, kInvalid, kUnsupported, kClosed };

// kNone, kUnsupported, kInvalid (no prompt, an unknown id, a repeated handle is the Engine's to
// find) or kTooLong: prompt and output exceed the model's context or the whole pool, so it could
// never finish.
Refusal check_submission(const Submission& submission,
                         const BackendInfo& info,
                         const EngineLimits& limits);

}  // namespace sluice
