// The header of a safetensors file: which tensor lies where. Every rule of the format's reference
// reader is enforced, so what passes here covers the file's data exactly once, without gap or
// overlap. Nothing is allocated from a number in the file before it is checked against the file's
// size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/input_file.h"
#include "runtime/status.h"

namespace sluice {

inline constexpr uint64_t kHeaderBytesMax = 100'000'000;

struct TensorInfo {
  std::string name;
  std::string dtype;  // as written: "BF16", "F32", "I32" ...
  std::vector<uint64_t> shape;
  uint64_t begin = 0;  // in the file
  uint64_t bytes = 0;
};

// "BF16 [576, 1536]", for messages.
std::string describe_tensor(const TensorInfo& tensor);

// `data_begin` and `data_bytes` say where in the file the tensors' data lies.
Status parse_safetensors_header(std::string_view header,
                                uint64_t data_begin,
                                uint64_t data_bytes,
                                std::vector<TensorInfo>* tensors);

// Failed statuses name the file.
Status read_safetensors_header(const InputFile& file, std::vector<TensorInfo>* tensors);

}  // namespace sluice
