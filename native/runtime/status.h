// Status: what a caller can act on. SLUICE_CHECK: what only a programmer can. No exceptions between
// files of native/.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace sluice {

// Codes cross to TypeScript by name (native/addon), so a new one is added there too.
enum class StatusCode {
  kOk,
  kInvalid,
  kUnsupported,
  kDamaged,
  kTooLarge,
  kFull,
  kClosed,
  kLost,
  kIo
};

class Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}
  static Status ok() { return {}; }
  bool is_ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

}  // namespace sluice

#define SLUICE_CHECK(condition)                                                          \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (0)

// a and b are printed, so both must convert to long long.
#define SLUICE_CHECK_EQ(a, b)                                      \
  do {                                                             \
    const auto check_a = static_cast<long long>(a);                \
    const auto check_b = static_cast<long long>(b);                \
    if (check_a != check_b) {                                      \
      std::fprintf(stderr,                                         \
                   "%s:%d: check failed: %s == %s (%lld, %lld)\n", \
                   __FILE__,                                       \
                   __LINE__,                                       \
                   #a,                                             \
                   #b,                                             \
                   check_a,                                        \
                   check_b);                                       \
      std::abort();                                                \
    }                                                              \
  } while (0)

#define SLUICE_RETURN_IF_ERROR(expression)            \
  do {                                                \
    ::sluice::Status status_result = (expression);    \
    if (!status_result.is_ok()) return status_result; \
  } while (0)
