// A test framework in one header: TEST registers, CHECK records and goes on, REQUIRE leaves the
// test. check.cc holds main; it runs every test whose name contains the filter given as first
// argument and ends with "N passed, N failed" (and ", N skipped" where a machine could not run
// some).
#pragma once

#include <cmath>
#include <cstdint>
#include <sstream>
#include <string>
#include <type_traits>

namespace sluice::check {

using TestFunction = void (*)();

struct Registration {
  Registration(const char* name, TestFunction function);
};

// Records a failure of the running test.
void fail(const char* file, int line, const std::string& message);
// Of the running test, so far.
int failure_count();
// Marks the running test as not run; it says why.
void skip(const std::string& reason);

template <typename T>
std::string show(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<long long>(value));
  } else if constexpr (std::is_same_v<T, uint8_t> || std::is_same_v<T, int8_t>) {
    return std::to_string(static_cast<int>(value));
  } else {
    std::ostringstream out;
    out.precision(9);
    out << value;
    return out.str();
  }
}

}  // namespace sluice::check

#define SLUICE_CHECK_JOIN_(a, b) a##b
#define SLUICE_CHECK_JOIN(a, b) SLUICE_CHECK_JOIN_(a, b)

// The name is an identifier or a string literal: TEST("a freed block is reused last") { ... }
#define TEST(name) SLUICE_TEST_NAMED(name, SLUICE_CHECK_JOIN(test_at_line_, __LINE__))
#define SLUICE_TEST_NAMED(name, function)                                                          \
  static void function();                                                                          \
  static const ::sluice::check::Registration SLUICE_CHECK_JOIN(function, _registration)(#name,     \
                                                                                        function); \
  static void function()

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) ::sluice::check::fail(__FILE__, __LINE__, #condition); \
  } while (0)

#define CHECK_EQ(a, b)                                                                        \
  do {                                                                                        \
    const auto& check_a = (a);                                                                \
    const auto& check_b = (b);                                                                \
    if (!(check_a == check_b))                                                                \
      ::sluice::check::fail(__FILE__,                                                         \
                            __LINE__,                                                         \
                            std::string(#a " == " #b " (") + ::sluice::check::show(check_a) + \
                                ", " + ::sluice::check::show(check_b) + ")");                 \
  } while (0)

// NaN on either side fails.
#define CHECK_NEAR(a, b, tolerance)                                                             \
  do {                                                                                          \
    const double check_a = static_cast<double>(a);                                              \
    const double check_b = static_cast<double>(b);                                              \
    if (!(std::fabs(check_a - check_b) <= static_cast<double>(tolerance)))                      \
      ::sluice::check::fail(__FILE__,                                                           \
                            __LINE__,                                                           \
                            std::string(#a " near " #b " (") + ::sluice::check::show(check_a) + \
                                ", " + ::sluice::check::show(check_b) + ")");                   \
  } while (0)

#define REQUIRE(condition)                                   \
  do {                                                       \
    if (!(condition)) {                                      \
      ::sluice::check::fail(__FILE__, __LINE__, #condition); \
      return;                                                \
    }                                                        \
  } while (0)

#define SKIP(reason)               \
  do {                             \
    ::sluice::check::skip(reason); \
    return;                        \
  } while (0)
