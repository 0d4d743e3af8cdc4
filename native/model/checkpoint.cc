// Opens model files and keeps them inside their folder.
#include "model/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "model/json.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr char kSingleName[] = "model.safetensors";
constexpr char kIndexName[] = "model.safetensors.index.json";

bool is_plain_name(const std::string& name) {
  if (name.empty() || name == "." || name == "..") return false;
  return name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

bool exists(const std::string& folder, const char* name) {
  std::error_code error;
  return fs::exists(fs::path(folder) / name, error);
}

}  // namespace

Status path_in_folder(const std::string& folder, const std::string& name, std::string* path) {
  if (!is_plain_name(name)) {
    return {StatusCode::kDamaged, folder + " names a file that is not in it: " + name};
  }
  std::error_code error;
  const fs::path real_folder = fs::canonical(folder, error);
  if (error) return {StatusCode::kIo, folder + ": " + error.message()};
  const fs::path real = fs::canonical(real_folder / name, error);
  if (error) return {StatusCode::kIo, (fs::path(folder) / name).string() + ": " + error.message()};
  // Hugging Face's cache: models--x/snapshots/<commit>/name -> ../../blobs/<hash>.
  const fs::path blobs = real_folder.parent_path().parent_path() / "blobs";
  const bool is_cached = real_folder.parent_path().filename() == "snapshots";
  if (real.parent_path() != real_folder && !(is_cached && real.parent_path() == blobs)) {
    return {StatusCode::kInvalid,
            (fs::path(folder) / name).string() + " is a link that leads out of the folder"};
  }
  *path = real.string();
  return Status::ok();
}

Status parse_shard_index(std::string_view text,
                         std::vector<std::pair<std::string, std::string>>* entries) {
  JsonValue root;
  SLUICE_RETURN_IF_ERROR(parse_json(text, &root));
  const JsonValue* map = root.find("weight_map");
  if (map == nullptr || !map->is_object() || map->items().empty()) {
    return {StatusCode::kDamaged, "weight_map is missing or empty"};
  }
  entries->clear();
  for (size_t i = 0; i < map->items().size(); ++i) {
    const JsonValue& shard = map->items()[i];
    if (!shard.is_string() || !is_plain_name(shard.text())) {
      return {StatusCode::kDamaged,
              "weight_map gives " + shard.describe() + " for " + map->keys()[i] +
                  ", which is not the name of a file beside it"};
    }
    entries->emplace_back(map->keys()[i], shard.text());
  }
  return Status::ok();
}

Status Checkpoint::add_file(const std::string& path) {
  InputFile file;
  SLUICE_RETURN_IF_ERROR(InputFile::open(path, &file));
  std::vector<TensorInfo> infos;
  SLUICE_RETURN_IF_ERROR(read_safetensors_header(file, &infos));
  const auto index = static_cast<uint32_t>(files_.size());
  for (TensorInfo& info : infos) {
    std::string name = info.name;
    const auto added = tensors_.emplace(std::move(name), Tensor{std::move(info), index});
    if (!added.second) {
      return {StatusCode::kDamaged, path + ": tensor " + added.first->first + " is in two shards"};
    }
  }
  files_.push_back(std::move(file));
  return Status::ok();
}

Status Checkpoint::open_single(const std::string& folder) {
  std::string path;
  SLUICE_RETURN_IF_ERROR(path_in_folder(folder, kSingleName, &path));
  return add_file(path);
}

Status Checkpoint::open_shards(const std::string& folder) {
  std::string index_path;
  SLUICE_RETURN_IF_ERROR(path_in_folder(folder, kIndexName, &index_path));
  std::string text;
  SLUICE_RETURN_IF_ERROR(read_text(index_path, kIndexBytesMax, &text));
  std::vector<std::pair<std::string, std::string>> entries;
  const auto damaged = [&](const std::string& what) {
    return Status(StatusCode::kDamaged, index_path + ": " + what);
  };
  const Status parsed = parse_shard_index(text, &entries);
  if (!parsed.is_ok()) return damaged(parsed.message());

  std::set<std::string> shards;
  for (const auto& entry : entries) shards.insert(entry.second);
  if (shards.size() > kShardsMax) {
    return damaged(std::to_string(shards.size()) + " shards; at most " +
                   std::to_string(kShardsMax) + " are read");
  }
  std::unordered_map<std::string, uint32_t> file_of;
  for (const std::string& shard : shards) {
    std::string path;
    SLUICE_RETURN_IF_ERROR(path_in_folder(folder, shard, &path));
    file_of[shard] = static_cast<uint32_t>(files_.size());
    SLUICE_RETURN_IF_ERROR(add_file(path));
  }
  for (const auto& [name, shard] : entries) {
    const Tensor* tensor = find(name);
    if (tensor == nullptr || tensor->file != file_of[shard]) {
      return damaged("tensor " + name + " is not in " + shard);
    }
  }
  return Status::ok();
}

Status Checkpoint::open(const std::string& folder, Checkpoint* checkpoint) {
  Checkpoint opened;
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return {StatusCode::kIo, folder + " is not a folder that can be read"};
  }
  if (exists(folder, kSingleName)) {
    SLUICE_RETURN_IF_ERROR(opened.open_single(folder));
  } else if (exists(folder, kIndexName)) {
    SLUICE_RETURN_IF_ERROR(opened.open_shards(folder));
  } else {
    return {StatusCode::kUnsupported,
            folder + " holds neither " + kSingleName + " nor " + kIndexName +
                "; other formats of weights are not supported"};
  }
  *checkpoint = std::move(opened);
  return Status::ok();
}

const Tensor* Checkpoint::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

Status Checkpoint::read(const Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const {
  SLUICE_CHECK(offset <= tensor.info.bytes && out.size() <= tensor.info.bytes - offset);
  return files_[tensor.file].read(tensor.info.begin + offset, out);
}

}  // namespace sluice
