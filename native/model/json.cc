// A recursive reader; depth is bounded before each descent.
#include "model/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "model/utf8.h"

namespace sluice {
namespace {

constexpr size_t kDescribedBytesMax = 40;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

const JsonValue* JsonValue::find(std::string_view key) const {
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i] == key) return &items_[i];
  }
  return nullptr;
}

std::string JsonValue::describe() const {
  switch (kind_) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return boolean() ? "true" : "false";
    case Kind::kNumber: {
      char digits[32];
      const auto end = std::to_chars(digits, digits + sizeof(digits), number_).ptr;
      return std::string(digits, end);
    }
    case Kind::kString:
      return text_.size() <= kDescribedBytesMax ? "\"" + text_ + "\"" : "a long string";
    case Kind::kArray:
      return "an array";
    case Kind::kObject:
      return "an object";
  }
  return "nothing";
}

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  Status read(JsonValue* value) {
    skip_spaces();
    SLUICE_RETURN_IF_ERROR(read_value(value, 0));
    skip_spaces();
    return at_ == text_.size() ? Status::ok() : fail("more after the end of the value");
  }

 private:
  Status fail(const std::string& what) const {
    return {StatusCode::kDamaged, what + " at byte " + std::to_string(at_)};
  }

  void skip_spaces() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Status read_value(JsonValue* value, uint32_t depth) {
    if (depth > kJsonDepthMax) return fail("nesting deeper than " + std::to_string(kJsonDepthMax));
    if (++values_ > kJsonValuesMax) {
      return fail("more than " + std::to_string(kJsonValuesMax) + " values");
    }
    const char c = peek();
    if (c == '{') return read_object(value, depth);
    if (c == '[') return read_array(value, depth);
    if (c == '"') {
      value->kind_ = JsonValue::Kind::kString;
      return read_string(&value->text_);
    }
    if (c == '-' || is_digit(c)) return read_number(value);
    return read_word(value);
  }

  Status read_word(JsonValue* value) {
    if (take_word("null")) return Status::ok();
    value->kind_ = JsonValue::Kind::kBool;
    if (take_word("false")) return Status::ok();
    if (!take_word("true")) return fail("no JSON value");
    value->number_ = 1;
    return Status::ok();
  }

  Status read_array(JsonValue* value, uint32_t depth) {
    value->kind_ = JsonValue::Kind::kArray;
    take('[');
    skip_spaces();
    if (take(']')) return Status::ok();
    while (true) {
      skip_spaces();
      value->items_.emplace_back();
      SLUICE_RETURN_IF_ERROR(read_value(&value->items_.back(), depth + 1));
      skip_spaces();
      if (take(']')) return Status::ok();
      if (!take(',')) return fail("neither ',' nor ']'");
    }
  }

  Status read_object(JsonValue* value, uint32_t depth) {
    value->kind_ = JsonValue::Kind::kObject;
    take('{');
    skip_spaces();
    if (take('}')) return Status::ok();
    while (true) {
      skip_spaces();
      if (peek() != '"') return fail("no name of a member");
      value->keys_.emplace_back();
      SLUICE_RETURN_IF_ERROR(read_string(&value->keys_.back()));
      skip_spaces();
      if (!take(':')) return fail("no ':'");
      skip_spaces();
      value->items_.emplace_back();
      SLUICE_RETURN_IF_ERROR(read_value(&value->items_.back(), depth + 1));
      skip_spaces();
      if (take('}')) return refuse_duplicates(*value);
      if (!take(',')) return fail("neither ',' nor '}'");
    }
  }

  Status refuse_duplicates(const JsonValue& object) const {
    std::vector<std::string_view> keys(object.keys_.begin(), object.keys_.end());
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice == keys.end()) return Status::ok();
    return fail("a member's name twice in an object that ends");
  }

  Status read_number(JsonValue* value) {
    const size_t begin = at_;
    take('-');
    if (!take('0')) {
      if (!is_digit(peek())) return fail("no digit in a number");
      while (is_digit(peek())) ++at_;
    }
    bool is_whole = text_[begin] != '-';
    if (take('.')) {
      is_whole = false;
      if (!is_digit(peek())) return fail("no digit in a number");
      while (is_digit(peek())) ++at_;
    }
    if (take('e') || take('E')) {
      is_whole = false;
      if (!take('+')) take('-');
      if (!is_digit(peek())) return fail("no digit in a number");
      while (is_digit(peek())) ++at_;
    }
    const char* first = text_.data() + begin;
    const char* last = text_.data() + at_;
    value->kind_ = JsonValue::Kind::kNumber;
    const auto result = std::from_chars(first, last, value->number_);
    if (result.ec != std::errc() || result.ptr != last) return fail("a number out of range");
    uint64_t whole = 0;
    if (is_whole && std::from_chars(first, last, whole).ec == std::errc()) value->whole_ = whole;
    return Status::ok();
  }

  Status read_string(std::string* text) {
    take('"');
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return Status::ok();
      }
      if (static_cast<unsigned char>(c) < 0x20) return fail("a control character in a string");
      if (c == '\\') {
        SLUICE_RETURN_IF_ERROR(read_escape(text));
        continue;
      }
      const size_t length = utf8_length(text_.substr(at_));
      if (length == 0) return fail("no UTF-8");
      text->append(text_.substr(at_, length));
      at_ += length;
    }
    return fail("a string without end");
  }

  Status read_escape(std::string* text) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    ++at_;
    const size_t index = at_ < text_.size() ? kNames.find(text_[at_]) : std::string_view::npos;
    if (index != std::string_view::npos) {
      ++at_;
      text->push_back(kMeanings[index]);
      return Status::ok();
    }
    uint32_t unit = 0;
    SLUICE_RETURN_IF_ERROR(read_unit(&unit));
    if (unit >= 0xDC00 && unit < 0xE000) return fail("half of a surrogate pair");
    if (unit >= 0xD800 && unit < 0xDC00) {
      uint32_t second = 0;
      if (!take('\\')) return fail("half of a surrogate pair");
      SLUICE_RETURN_IF_ERROR(read_unit(&second));
      if (second < 0xDC00 || second >= 0xE000) return fail("half of a surrogate pair");
      unit = 0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00);
    }
    append_utf8(unit, text);
    return Status::ok();
  }

  // "uXXXX" of an escape.
  Status read_unit(uint32_t* unit) {
    if (!take('u')) return fail("an unknown escape");
    for (int i = 0; i < 4; ++i) {
      const int digit = hex_digit(peek());
      if (digit < 0) return fail("no hexadecimal digit in an escape");
      *unit = *unit * 16 + static_cast<uint32_t>(digit);
      ++at_;
    }
    return Status::ok();
  }

  std::string_view text_;
  size_t at_ = 0;
  uint32_t values_ = 0;
};

Status parse_json(std::string_view text, JsonValue* value) {
  *value = JsonValue();
  return JsonReader(text).read(value);
}

}  // namespace sluice
