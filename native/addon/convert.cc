// The two tables of names here are the ones in native.ts and EngineError.ts.
#include "addon/convert.h"

#include <cmath>
#include <limits>

#include "addon/grammars_handle.h"

namespace sluice::addon {
namespace {

// 2^53 - 1: Number.MAX_SAFE_INTEGER.
constexpr int64_t kExactMax = 9007199254740991;

const char* name_of(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      break;
    case StatusCode::kInvalid:
      return "EngineInvalid";
    case StatusCode::kUnsupported:
      return "EngineUnsupported";
    case StatusCode::kDamaged:
      return "EngineDamaged";
    case StatusCode::kTooLarge:
      return "EngineTooLarge";
    case StatusCode::kFull:
      return "EngineFull";
    case StatusCode::kClosed:
      return "EngineClosed";
    case StatusCode::kLost:
      return "EngineLost";
    case StatusCode::kIo:
      return "EngineIo";
  }
  return "EngineInvalid";
}

const char* name_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      break;
    case Refusal::kQueueFull:
      return "queueFull";
    case Refusal::kTooLong:
      return "tooLong";
    case Refusal::kInvalid:
      return "invalid";
    case Refusal::kUnsupported:
      return "unsupported";
    case Refusal::kClosed:
      return "closed";
  }
  return nullptr;
}

}  // namespace

Field::Field(const char* function, const char* name, Napi::Value value)
    : function_(function), name_(name), value_(value) {}

Field::Field(const Field* parent, const char* name, Napi::Value value)
    : parent_(parent), name_(name), value_(value) {}

Field Field::at(const char* name) const {
  if (!value_.IsObject()) fail("an object");
  return Field(this, name, value_.As<Napi::Object>().Get(name));
}

double Field::number() const {
  if (!value_.IsNumber()) fail("a number");
  return value_.As<Napi::Number>().DoubleValue();
}

int64_t Field::integer(int64_t low, int64_t high) const {
  const double value = number();
  const bool fits = value >= static_cast<double>(low) && value <= static_cast<double>(high);
  if (!fits || std::trunc(value) != value) {
    fail("an integer from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return static_cast<int64_t>(value);
}

uint32_t Field::u32() const {
  return static_cast<uint32_t>(integer(0, std::numeric_limits<uint32_t>::max()));
}

int32_t Field::i32() const {
  using Limits = std::numeric_limits<int32_t>;
  return static_cast<int32_t>(integer(Limits::min(), Limits::max()));
}

uint64_t Field::u64() const {
  return static_cast<uint64_t>(integer(0, kExactMax));
}

int64_t Field::i64() const {
  return integer(-kExactMax, kExactMax);
}

bool Field::boolean() const {
  if (!value_.IsBoolean()) fail("a boolean");
  return value_.As<Napi::Boolean>().Value();
}

std::string Field::string() const {
  if (!value_.IsString()) fail("a string");
  return value_.As<Napi::String>().Utf8Value();
}

std::vector<uint32_t> Field::ids() const {
  const bool fits =
      value_.IsTypedArray() && value_.As<Napi::TypedArray>().TypedArrayType() == napi_uint32_array;
  if (!fits) fail("a Uint32Array");
  const auto array = value_.As<Napi::Uint32Array>();
  return std::vector<uint32_t>(array.Data(), array.Data() + array.ElementLength());
}

std::vector<float> Field::reals() const {
  const bool fits =
      value_.IsTypedArray() && value_.As<Napi::TypedArray>().TypedArrayType() == napi_float32_array;
  if (!fits) fail("a Float32Array");
  const auto array = value_.As<Napi::Float32Array>();
  return std::vector<float>(array.Data(), array.Data() + array.ElementLength());
}

std::vector<uint8_t> Field::bytes() const {
  const bool fits =
      value_.IsTypedArray() && value_.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  if (!fits) fail("a Uint8Array");
  const auto array = value_.As<Napi::Uint8Array>();
  return std::vector<uint8_t>(array.Data(), array.Data() + array.ElementLength());
}

Napi::Function Field::function() const {
  if (!value_.IsFunction()) fail("a function");
  return value_.As<Napi::Function>();
}

std::string Field::path() const {
  if (parent_ == nullptr) return std::string(function_) + ": " + name_;
  return parent_->path() + "." + name_;
}

void Field::fail(const std::string& wanted) const {
  throw Napi::TypeError::New(value_.Env(), path() + " must be " + wanted);
}

Submission to_submission(const Field& sequence) {
  Submission s;
  s.handle = sequence.at("sequence").u32();
  s.prompt = sequence.at("promptIds").ids();
  s.generated = sequence.at("generatedIds").ids();
  s.max_tokens = sequence.at("maxTokens").u32();
  s.min_tokens = sequence.at("minTokens").u32();
  s.sampling.temperature = sequence.at("temperature").real();
  s.sampling.top_p = sequence.at("topP").real();
  s.sampling.top_k = sequence.at("topK").u32();
  s.sampling.min_p = sequence.at("minP").real();
  s.sampling.presence_penalty = sequence.at("presencePenalty").real();
  s.sampling.frequency_penalty = sequence.at("frequencyPenalty").real();
  s.sampling.repetition_penalty = sequence.at("repetitionPenalty").real();
  const std::vector<uint32_t> bias_ids = sequence.at("biasIds").ids();
  const std::vector<float> biases = sequence.at("biases").reals();
  for (size_t i = 0; i < bias_ids.size() && i < biases.size(); ++i) {
    s.biases.push_back({bias_ids[i], biases[i]});
  }
  s.sampling.seed = static_cast<uint64_t>(sequence.at("seed").i64());
  s.sampling.choice = sequence.at("choice").u32();
  s.stop_ids = sequence.at("stopTokenIds").ids();
  s.ignore_eos = sequence.at("ignoreEos").boolean();
  s.sampling.logprobs = sequence.at("logprobs").i32();
  s.sampling.prompt_logprobs = sequence.at("promptLogprobs").i32();
  s.priority = sequence.at("priority").i32();
  s.arrived_at_ms = sequence.at("arrivedAtMs").u64();
  s.cache_salt = sequence.at("cacheSalt").string();
  s.grammars = GrammarsHandle::unwrap(sequence.at("grammars"));
  s.grammar.kind = sequence.at("grammarKind").string();
  s.grammar.text = sequence.at("grammarText").string();
  return s;
}

Napi::Value from_refusal(Napi::Env env, Refusal refusal) {
  const char* name = name_of(refusal);
  return name == nullptr ? env.Null() : Napi::Value(Napi::String::New(env, name));
}

Napi::Error from_status(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.message());
  error.Set("name", Napi::String::New(env, name_of(status.code())));
  return error;
}

}  // namespace sluice::addon
