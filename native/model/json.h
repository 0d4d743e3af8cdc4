// A strict JSON reader for files that nobody vouches for: headers, indexes and configs of models.
// RFC 8259 and no more: UTF-8 only, no duplicate names, no trailing bytes, no number that a double
// cannot hold. Depth and the number of values are bounded, and so is memory: under 100 bytes a
// value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/status.h"

namespace sluice {

inline constexpr uint32_t kJsonDepthMax = 32;

// A header of 100,000 tensors holds 800,000 values; the largest models known have 90,000 tensors.
inline constexpr uint32_t kJsonValuesMax = 1u << 20;

class JsonValue {
 public:
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_object() const { return kind_ == Kind::kObject; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_number() const { return kind_ == Kind::kNumber; }
  bool is_bool() const { return kind_ == Kind::kBool; }

  bool boolean() const { return number_ != 0; }
  double number() const { return number_; }
  // The number, if it was written as digits only and fits.
  std::optional<uint64_t> whole() const { return whole_; }
  const std::string& text() const { return text_; }

  // Elements of an array, or the values of an object in the order of keys().
  const std::vector<JsonValue>& items() const { return items_; }
  const std::vector<std::string>& keys() const { return keys_; }

  // An object's member, or null.
  const JsonValue* find(std::string_view key) const;

  // "null", "true", "12", "a string", "an array", "an object": for messages.
  std::string describe() const;

 private:
  friend class JsonReader;

  Kind kind_ = Kind::kNull;
  double number_ = 0;
  std::optional<uint64_t> whole_;
  std::string text_;
  std::vector<JsonValue> items_;
  std::vector<std::string> keys_;
};

// The message of a failed status says what was found and at which byte; the caller adds the file.
Status parse_json(std::string_view text, JsonValue* value);

}  // namespace sluice
