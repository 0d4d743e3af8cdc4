// From a checkpoint's tensors, already in device memory, to the layouts that the linear kernels
// read. Several tensors may become one matrix: q, k and v stacked, gate and up interleaved.
//
//   bf16: [outputs, inputs], as Hugging Face stores it.
//   int4: inputs padded to K = a multiple of 128 (with scale 0), outputs in strips of 16:
//         weights [strips][K / 64][32 lanes] of 16 bytes, the A fragments of four m16n8k16 steps
//         (int4_layout.cuh); scales [strips][K / group][8][2] words, of outputs g and g + 8: the
//         scale as float32 whose lowest 4 bits are the zero point.
//   int8: [outputs, inputs]; in each four bytes the middle two are swapped. scales [outputs] f32.
#pragma once

#include <cstdint>

#include "kernels/cuda/linear.h"
#include "kernels/pack.h"

namespace sluice {

// Row r of a tensor becomes row first + r / block * stride + r % block of the matrix.
struct RowPlacement {
  uint32_t first = 0;
  uint32_t block = 8;
  uint32_t stride = 8;
};

inline constexpr RowPlacement kGateRows{0, 8, 16};
inline constexpr RowPlacement kUpRows{8, 8, 16};

// Bytes of `matrix`'s weights and scales; its pointers are not read.
uint64_t device_weight_bytes(const DeviceMatrix& matrix);
uint64_t device_scale_bytes(const DeviceMatrix& matrix);

// The group of the placed matrix for a checkpoint's group; 0 where it is not supported.
uint32_t device_group_inputs(uint32_t checkpoint_group_inputs);

struct DenseTensor {
  DenseType type = DenseType::kBf16;
  const void* values = nullptr;  // [rows, inputs]
  uint32_t rows = 0;
  uint32_t inputs = 0;
};

// Narrows to bf16. Biases are tensors of one input.
Status place_dense(const DenseTensor& tensor,
                   const RowPlacement& placement,
                   uint16_t* out,
                   DeviceStream stream);

struct Int4Tensors {
  Int4Packing packing = Int4Packing::kAwqGemm;
  const uint32_t* weights = nullptr;
  const uint32_t* zeros = nullptr;  // or null: all 8
  const void* scales = nullptr;
  DenseType scale_type = DenseType::kF16;
  uint32_t outputs = 0;
  uint32_t inputs = 0;
  uint32_t group_inputs = 0;  // the checkpoint's
};

// The matrix's weights and scales are zeroed before its first tensor is placed.
Status place_int4(const Int4Tensors& tensors,
                  const RowPlacement& placement,
                  const DeviceMatrix& out,
                  DeviceStream stream);

struct Int8Tensors {
  const int8_t* weights = nullptr;  // [outputs, inputs]
  const void* scales = nullptr;     // [outputs]
  DenseType scale_type = DenseType::kBf16;
  uint32_t outputs = 0;
  uint32_t inputs = 0;
};

Status place_int8(const Int8Tensors& tensors,
                  const RowPlacement& placement,
                  const DeviceMatrix& out,
                  DeviceStream stream);

}  // namespace sluice
