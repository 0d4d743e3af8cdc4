// Runs the registered tests in the order of their files; a failing test names itself and each
// check.
#include "check.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

namespace sluice::check {
namespace {

struct Test {
  const char* name;
  TestFunction function;
};

// A test that prints more failures than this is cut short in the report, not in the run.
constexpr int kFailuresShownMax = 20;

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

int failures = 0;
bool skipped = false;

}  // namespace

Registration::Registration(const char* name, TestFunction function) {
  tests().push_back({name, function});
}

void fail(const char* file, int line, const std::string& message) {
  if (++failures <= kFailuresShownMax) std::printf("  %s:%d: %s\n", file, line, message.c_str());
  std::fflush(stdout);
}

int failure_count() {
  return failures;
}

void skip(const std::string& reason) {
  skipped = true;
  std::printf("  skipped: %s\n", reason.c_str());
}

static int run(const char* filter) {
  int passed = 0;
  int failed = 0;
  int not_run = 0;
  for (const Test& test : tests()) {
    if (filter != nullptr && std::strstr(test.name, filter) == nullptr) continue;
    failures = 0;
    skipped = false;
    const auto start = std::chrono::steady_clock::now();
    test.function();
    const auto elapsed = std::chrono::steady_clock::now() - start;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count();
    const char* verdict = failures > 0 ? "FAILED" : skipped ? "skipped" : "ok";
    std::printf("%-7s %s (%lld ms)\n", verdict, test.name, static_cast<long long>(ms));
    std::fflush(stdout);
    failed += failures > 0 ? 1 : 0;
    not_run += failures == 0 && skipped ? 1 : 0;
    passed += failures == 0 && !skipped ? 1 : 0;
  }
  std::printf("%d passed, %d failed", passed, failed);
  if (not_run > 0) std::printf(", %d skipped", not_run);
  std::printf("\n");
  // A filter that matches nothing must not look like success.
  return failed > 0 || passed + not_run == 0 ? 1 : 0;
}

}  // namespace sluice::check

int main(int argc, char** argv) {
  return sluice::check::run(argc > 1 ? argv[1] : nullptr);
}
