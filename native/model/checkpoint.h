// The tensors of a Hugging Face folder, by name: one model.safetensors, or shards that
// model.safetensors.index.json names. It opens and checks all headers at once, reads data when
// asked, and never leaves the folder, except that a link of Hugging Face's own cache may point to
// its blobs.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/safetensors.h"
#include "runtime/input_file.h"
#include "runtime/status.h"

namespace sluice {

inline constexpr uint64_t kIndexBytesMax = 64 << 20;
inline constexpr uint32_t kShardsMax = 1024;

struct Tensor {
  TensorInfo info;
  uint32_t file = 0;
};

class Checkpoint {
 public:
  static Status open(const std::string& folder, Checkpoint* checkpoint);

  // Null where there is none.
  const Tensor* find(const std::string& name) const;
  const std::unordered_map<std::string, Tensor>& tensors() const { return tensors_; }

  // Bytes [offset, offset + out.size()) of the tensor's data.
  Status read(const Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const;

 private:
  Status open_single(const std::string& folder);
  Status open_shards(const std::string& folder);
  Status add_file(const std::string& path);

  std::vector<InputFile> files_;
  std::unordered_map<std::string, Tensor> tensors_;
};

// The path of a file directly in `folder`. Refuses names with separators, and links that lead out.
Status path_in_folder(const std::string& folder, const std::string& name, std::string* path);

// The index's tensor names and, for each, the shard's file name.
Status parse_shard_index(std::string_view text,
                         std::vector<std::pair<std::string, std::string>>* entries);

}  // namespace sluice
