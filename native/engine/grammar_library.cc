// Finding the library: SLUICE_GRAMMAR names it, else it lies beside this code.
#include "engine/grammar_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <system_error>

namespace sluice {
namespace {

constexpr char kFileName[] = "libsluice_grammar.so";
constexpr char kPathVariable[] = "SLUICE_GRAMMAR";

std::string path_of_library() {
  if (const char* path = std::getenv(kPathVariable); path != nullptr && *path != '\0') return path;
  Dl_info info = {};
  if (dladdr(reinterpret_cast<const void*>(&path_of_library), &info) == 0) return kFileName;
  return (std::filesystem::path(info.dli_fname).parent_path() / kFileName).string();
}

template <typename Function>
bool find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

bool find_all(void* library, GrammarLibrary* found) {
  return find(library, "sluice_grammar_abi", &found->abi) &&
         find(library, "sluice_vocabulary_new", &found->vocabulary_new) &&
         find(library, "sluice_vocabulary_free", &found->vocabulary_free) &&
         find(library, "sluice_grammar_compile", &found->compile) &&
         find(library, "sluice_grammar_free", &found->grammar_free) &&
         find(library, "sluice_matcher_new", &found->matcher_new) &&
         find(library, "sluice_matcher_free", &found->matcher_free) &&
         find(library, "sluice_matcher_consume", &found->consume) &&
         find(library, "sluice_matcher_stopped", &found->stopped) &&
         find(library, "sluice_matcher_mask", &found->mask);
}

bool open_library(GrammarLibrary* opened, std::string* why_not) {
  const std::string path = path_of_library();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    *why_not = "it is not built";
    return false;
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    *why_not = dlerror();
    return false;
  }
  if (find_all(library, opened) && opened->abi() == kGrammarAbi) return true;
  *why_not = "it was built from other sources than the engine";
  return false;
}

}  // namespace

const GrammarLibrary* GrammarLibrary::open(std::string* why_not) {
  static std::mutex mutex;
  static GrammarLibrary library;
  static bool is_open = false;
  const std::lock_guard lock(mutex);
  if (!is_open) is_open = open_library(&library, why_not);
  return is_open ? &library : nullptr;
}

}  // namespace sluice
