// The rules of the format, in the order in which the reference reader applies them.
#include "model/safetensors.h"

#include <algorithm>
#include <cstring>

#include "model/json.h"

namespace sluice {
namespace {

constexpr uint64_t kLengthBytes = 8;

Status damaged(const std::string& what) {
  return {StatusCode::kDamaged, what};
}

struct Dtype {
  std::string_view name;
  uint64_t bytes;
};

constexpr Dtype kDtypes[] = {{"BOOL", 1},
                             {"U8", 1},
                             {"I8", 1},
                             {"F8_E5M2", 1},
                             {"F8_E4M3", 1},
                             {"F8_E8M0", 1},
                             {"I16", 2},
                             {"U16", 2},
                             {"F16", 2},
                             {"BF16", 2},
                             {"I32", 4},
                             {"U32", 4},
                             {"F32", 4},
                             {"F64", 8},
                             {"I64", 8},
                             {"U64", 8},
                             {"C64", 8}};

uint64_t dtype_bytes(std::string_view name) {
  for (const Dtype& dtype : kDtypes) {
    if (dtype.name == name) return dtype.bytes;
  }
  return 0;
}

// begin and end of data_offsets, relative to the data.
Status read_offsets(const JsonValue* offsets, uint64_t data_bytes, TensorInfo* tensor) {
  if (offsets == nullptr || !offsets->is_array() || offsets->items().size() != 2) {
    return damaged("data_offsets are no pair");
  }
  const auto begin = offsets->items()[0].whole();
  const auto end = offsets->items()[1].whole();
  if (!begin || !end) return damaged("data_offsets are no whole numbers");
  if (*begin > *end || *end > data_bytes) {
    return damaged("data_offsets [" + std::to_string(*begin) + ", " + std::to_string(*end) +
                   ") lie outside of the " + std::to_string(data_bytes) + " bytes of data");
  }
  tensor->begin = *begin;
  tensor->bytes = *end - *begin;
  return Status::ok();
}

Status read_shape(const JsonValue* shape, TensorInfo* tensor) {
  if (shape == nullptr || !shape->is_array()) return damaged("the shape is no array");
  uint64_t bytes = dtype_bytes(tensor->dtype);
  for (const JsonValue& item : shape->items()) {
    const auto size = item.whole();
    if (!size) return damaged("the shape holds " + item.describe());
    if (__builtin_mul_overflow(bytes, *size, &bytes)) return damaged("the shape overflows");
    tensor->shape.push_back(*size);
  }
  if (bytes == tensor->bytes) return Status::ok();
  return damaged(describe_tensor(*tensor) + " takes " + std::to_string(bytes) +
                 " bytes, data_offsets give " + std::to_string(tensor->bytes));
}

Status read_tensor(const JsonValue& entry, uint64_t data_bytes, TensorInfo* tensor) {
  if (!entry.is_object()) return damaged("found " + entry.describe() + ", not an object");
  const JsonValue* dtype = entry.find("dtype");
  if (dtype == nullptr || !dtype->is_string()) return damaged("dtype is missing");
  tensor->dtype = dtype->text();
  if (dtype_bytes(tensor->dtype) == 0) return damaged("unknown dtype " + dtype->describe());
  SLUICE_RETURN_IF_ERROR(read_offsets(entry.find("data_offsets"), data_bytes, tensor));
  return read_shape(entry.find("shape"), tensor);
}

Status check_metadata(const JsonValue& metadata) {
  if (!metadata.is_object()) return damaged("__metadata__ is no object");
  for (const JsonValue& item : metadata.items()) {
    if (!item.is_string()) return damaged("__metadata__ holds " + item.describe());
  }
  return Status::ok();
}

// Sorted by place, the tensors must follow each other from 0 to the end of the data.
Status check_cover(std::vector<TensorInfo>* tensors, uint64_t data_bytes) {
  std::sort(tensors->begin(), tensors->end(), [](const TensorInfo& a, const TensorInfo& b) {
    return a.begin < b.begin || (a.begin == b.begin && a.bytes < b.bytes);
  });
  uint64_t end = 0;
  for (const TensorInfo& tensor : *tensors) {
    if (tensor.begin != end) {
      return damaged("tensor " + tensor.name + " begins at " + std::to_string(tensor.begin) +
                     " where the one before it ends at " + std::to_string(end));
    }
    end += tensor.bytes;
  }
  if (end == data_bytes) return Status::ok();
  return damaged("the tensors end at " + std::to_string(end) + " of " + std::to_string(data_bytes) +
                 " bytes of data");
}

}  // namespace

std::string describe_tensor(const TensorInfo& tensor) {
  std::string text = tensor.dtype + " [";
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(tensor.shape[i]);
  }
  return text + "]";
}

Status parse_safetensors_header(std::string_view header,
                                uint64_t data_begin,
                                uint64_t data_bytes,
                                std::vector<TensorInfo>* tensors) {
  JsonValue root;
  const Status status = parse_json(header, &root);
  if (!status.is_ok()) return damaged("header: " + status.message());
  if (!root.is_object()) return damaged("header: found " + root.describe() + ", not an object");
  tensors->clear();
  for (size_t i = 0; i < root.items().size(); ++i) {
    if (root.keys()[i] == "__metadata__") {
      SLUICE_RETURN_IF_ERROR(check_metadata(root.items()[i]));
      continue;
    }
    TensorInfo& tensor = tensors->emplace_back();
    tensor.name = root.keys()[i];
    const Status read = read_tensor(root.items()[i], data_bytes, &tensor);
    if (!read.is_ok()) return damaged("tensor " + tensor.name + ": " + read.message());
  }
  SLUICE_RETURN_IF_ERROR(check_cover(tensors, data_bytes));
  for (TensorInfo& tensor : *tensors) tensor.begin += data_begin;
  return Status::ok();
}

Status read_safetensors_header(const InputFile& file, std::vector<TensorInfo>* tensors) {
  const auto named = [&file](const std::string& what) {
    return damaged(file.path() + ": " + what);
  };
  if (file.bytes() < kLengthBytes) {
    return named("has " + std::to_string(file.bytes()) + " bytes, which is no safetensors file");
  }
  uint8_t length_bytes[kLengthBytes];
  SLUICE_RETURN_IF_ERROR(file.read(0, length_bytes));
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= uint64_t{length_bytes[i]} << (8 * i);
  if (length > kHeaderBytesMax || length > file.bytes() - kLengthBytes) {
    return named("a header of " + std::to_string(length) + " bytes in a file of " +
                 std::to_string(file.bytes()) + "; at most " + std::to_string(kHeaderBytesMax) +
                 " are read");
  }
  std::string header(length, '\0');
  SLUICE_RETURN_IF_ERROR(
      file.read(kLengthBytes, {reinterpret_cast<uint8_t*>(header.data()), header.size()}));
  const uint64_t data_begin = kLengthBytes + length;
  const Status status =
      parse_safetensors_header(header, data_begin, file.bytes() - data_begin, tensors);
  return status.is_ok() ? status : named(status.message());
}

}  // namespace sluice
