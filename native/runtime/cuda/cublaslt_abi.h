// The part of cuBLASLt's ABI that is used: opaque handles, entry points by name, and the numbers of
// its enums. They have been the same since CUDA 11.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/cuda/stream.h"

namespace sluice::cublaslt {

using Handle = void*;
using Desc = void*;
using Layout = void*;
using Preference = void*;

struct Algo {
  uint64_t data[8];
};

struct HeuristicResult {
  Algo algo;
  size_t workspace_bytes;
  int status;
  float waves;
  int reserved[4];
};

inline constexpr int kTypeF32 = 0;
inline constexpr int kTypeBf16 = 14;
inline constexpr int kComputeF32 = 68;
inline constexpr int kOpN = 0;
inline constexpr int kOpT = 1;
inline constexpr int kDescTransA = 3;
inline constexpr int kDescTransB = 4;
inline constexpr int kDescEpilogue = 7;
inline constexpr int kDescBiasPointer = 8;
inline constexpr int kDescBiasType = 26;
inline constexpr int kEpilogueBias = 4;
inline constexpr int kLayoutCols = 3;
inline constexpr int kPreferenceWorkspaceBytes = 1;
inline constexpr int kPreferenceAlignA = 5;  // then B, C, D

struct Functions {
  int (*create)(Handle*);
  int (*destroy)(Handle);
  size_t (*version)();
  int (*desc_create)(Desc*, int compute, int scale_type);
  int (*desc_destroy)(Desc);
  int (*desc_set)(Desc, int attribute, const void*, size_t);
  int (*layout_create)(Layout*, int type, uint64_t rows, uint64_t cols, int64_t ld);
  int (*layout_destroy)(Layout);
  int (*layout_set)(Layout, int attribute, const void*, size_t);
  int (*preference_create)(Preference*);
  int (*preference_destroy)(Preference);
  int (*preference_set)(Preference, int attribute, const void*, size_t);
  int (*heuristic)(Handle,
                   Desc,
                   Layout a,
                   Layout b,
                   Layout c,
                   Layout d,
                   Preference,
                   int wanted,
                   HeuristicResult*,
                   int* found);
  int (*matmul)(Handle,
                Desc,
                const void* alpha,
                const void* a,
                Layout,
                const void* b,
                Layout,
                const void* beta,
                const void* c,
                Layout,
                void* d,
                Layout,
                const Algo*,
                void* workspace,
                size_t workspace_bytes,
                DeviceStream);
};

}  // namespace sluice::cublaslt
