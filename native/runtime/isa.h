// Which instructions the kernels may use: found by CPUID once, never by how this file was compiled.
// SLUICE_ISA=scalar|avx2|avx512 asks for one path, so that tests can run each on one machine. All
// paths give the same bits, so the choice changes nothing but speed.
#pragma once

#include "runtime/status.h"

namespace sluice {

enum class Isa { kScalar, kAvx2, kAvx512 };

const char* isa_name(Isa isa);

// Whether this processor, and this build, can run the path.
bool has_isa(Isa isa);

// The widest path there is, or the one asked for. Refuses a name that is unknown or cannot run
// here.
Status choose_isa(Isa* isa);

}  // namespace sluice
