// engine_cuda.so with a device that fails: passes everything on to the real one, but after
// SLUICE_TEST_FAULT_LAUNCHES steps one kernel writes where no memory is, which ends the context as
// a broken device would. Only where the file that SLUICE_TEST_FAULT_ONCE names is not there yet: it
// is then made, so that the next process is spared.
//
// SLUICE_ENGINE_CUDA names this object for the addon, SLUICE_TEST_FAULTY_INNER the real one.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "model/device_backend.h"

namespace sluice {
namespace {

__global__ void write_nowhere(int* nowhere) {
  *nowhere = 1;
}

const char* setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

class FaultyBackend : public Backend {
 public:
  explicit FaultyBackend(std::unique_ptr<Backend> inner)
      : inner_(std::move(inner)),
        launches_left_(std::atoi(setting("SLUICE_TEST_FAULT_LAUNCHES"))) {}

  const BackendInfo& info() const override { return inner_->info(); }
  Status kv_bytes_max(uint32_t sequences, uint32_t tokens, uint64_t* bytes) override {
    return inner_->kv_bytes_max(sequences, tokens, bytes);
  }
  Status reserve(uint32_t blocks, uint32_t sequences, uint32_t tokens) override {
    return inner_->reserve(blocks, sequences, tokens);
  }
  Status launch(const Batch& batch) override {
    if (--launches_left_ == 0) fail_once();
    return inner_->launch(batch);
  }
  Status collect(StepResult* result) override { return inner_->collect(result); }
  void pin(void* host, uint64_t bytes) override { inner_->pin(host, bytes); }
  Status save_block(uint32_t block, void* host) override { return inner_->save_block(block, host); }
  Status load_block(uint32_t block, const void* host) override {
    return inner_->load_block(block, host);
  }

 private:
  static void fail_once() {
    const std::filesystem::path once = setting("SLUICE_TEST_FAULT_ONCE");
    if (once.empty() || std::filesystem::exists(once)) return;
    if (FILE* file = std::fopen(once.c_str(), "w"); file != nullptr) std::fclose(file);
    write_nowhere<<<1, 1>>>(reinterpret_cast<int*>(16));
  }

  const std::unique_ptr<Backend> inner_;
  int launches_left_;
};

const DeviceEngine* inner_engine() {
  void* library =
      dlopen(setting("SLUICE_TEST_FAULTY_INNER"), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::abort();
  }
  using Entry = const DeviceEngine* (*)();
  return reinterpret_cast<Entry>(dlsym(library, "engine_backend_v1"))();
}

Status load(const LoadOptions& options, std::unique_ptr<Backend>* backend) {
  std::unique_ptr<Backend> inner;
  SLUICE_RETURN_IF_ERROR(inner_engine()->load(options, &inner));
  *backend = std::make_unique<FaultyBackend>(std::move(inner));
  return Status::ok();
}

}  // namespace
}  // namespace sluice

extern "C" __attribute__((visibility("default"))) const sluice::DeviceEngine* engine_backend_v1() {
  static const sluice::DeviceEngine engine = [] {
    sluice::DeviceEngine made = *sluice::inner_engine();
    made.load = sluice::load;
    return made;
  }();
  return &engine;
}
