// JavaScript values to C++ ones. It checks types only, and a wrong one is a TypeError that names
// the field by its path: "engineOpen: options.kvBytes must be a number". Absent is null: undefined
// is always wrong. JavaScript's thread only.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/submission.h"

namespace sluice::addon {

class Field {
 public:
  // `function` and `name` must outlive the Field; a field's parent too.
  Field(const char* function, const char* name, Napi::Value value);

  Field at(const char* name) const;
  bool is_null() const { return value_.IsNull(); }

  double number() const;
  float real() const { return static_cast<float>(number()); }
  // Integers within the type's range and a double's exact ones.
  uint32_t u32() const;
  int32_t i32() const;
  uint64_t u64() const;
  int64_t i64() const;
  bool boolean() const;
  std::string string() const;
  std::vector<uint32_t> ids() const;   // a Uint32Array
  std::vector<float> reals() const;    // a Float32Array
  std::vector<uint8_t> bytes() const;  // a Uint8Array
  Napi::Function function() const;
  Napi::Value value() const { return value_; }
  // "engineOpen: options.kvBytes must be <wanted>"
  [[noreturn]] void fail(const std::string& wanted) const;

 private:
  Field(const Field* parent, const char* name, Napi::Value value);
  int64_t integer(int64_t low, int64_t high) const;
  std::string path() const;

  const Field* parent_ = nullptr;
  const char* function_ = nullptr;
  const char* name_;
  Napi::Value value_;
};

Submission to_submission(const Field& sequence);

// The name of a refusal in native.ts; null where the sequence was taken.
Napi::Value from_refusal(Napi::Env env, Refusal refusal);

// An Error with the name that EngineError.ts knows the status by.
Napi::Error from_status(Napi::Env env, const Status& status);

}  // namespace sluice::addon
