// CPUID by way of the compiler, which also asks whether the system saves the registers.
#include "runtime/isa.h"

#include <cstdlib>
#include <string>

namespace sluice {

#if defined(__x86_64__)
namespace {

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

}  // namespace
#endif

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

bool has_isa(Isa isa) {
  if (isa == Isa::kScalar) return true;
#if defined(__x86_64__)
  return isa == Isa::kAvx2 ? has_avx2() : has_avx512();
#else
  return false;
#endif
}

Status choose_isa(Isa* isa) {
  constexpr Isa kWidestFirst[] = {Isa::kAvx512, Isa::kAvx2, Isa::kScalar};
  const char* wanted = std::getenv("SLUICE_ISA");
  for (const Isa candidate : kWidestFirst) {
    if (wanted != nullptr && std::string(wanted) != isa_name(candidate)) continue;
    if (has_isa(candidate)) {
      *isa = candidate;
      return Status::ok();
    }
    if (wanted == nullptr) continue;
    return {StatusCode::kUnsupported,
            std::string("SLUICE_ISA=") + wanted + ": this processor cannot run it"};
  }
  return {StatusCode::kInvalid,
          std::string("SLUICE_ISA: found ") + wanted + "; supported: scalar, avx2, avx512"};
}

}  // namespace sluice
