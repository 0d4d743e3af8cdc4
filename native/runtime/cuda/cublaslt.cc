// Row-major y = x wᵀ is column-major yᵀ = w xᵀ: w is A, transposed; x is B; y is D.
#include "runtime/cuda/cublaslt.h"

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <vector>

#include "runtime/cuda/cublaslt_abi.h"

namespace sluice {
namespace {

using cublaslt::Functions;

Status failed(const char* call, int status) {
  return {StatusCode::kLost,
          std::string("device: cublasLt") + call + " answered " + std::to_string(status)};
}

// Folders with wildcards; the first file that opens is taken.
std::vector<std::string> places() {
  constexpr const char* kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
  std::vector<std::string> folders;
  Dl_info self = {};
  if (dladdr(reinterpret_cast<const void*>(&places), &self) != 0 && self.dli_fname != nullptr) {
    const std::string file = self.dli_fname;
    const size_t slash = file.rfind('/');
    if (slash != std::string::npos) folders.push_back(file.substr(0, slash));
  }
  folders.emplace_back("");
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const char* home = std::getenv(variable);
    if (home != nullptr) folders.push_back(std::string(home) + "/lib64");
  }
  folders.emplace_back("/usr/local/cuda/lib64");
  const char* environment = std::getenv("VIRTUAL_ENV");
  if (environment != nullptr) {
    folders.push_back(std::string(environment) + "/lib/python3*/site-packages/nvidia/*/lib");
  }
  folders.emplace_back("/usr/local/lib/python3*/*-packages/nvidia/*/lib");
  std::vector<std::string> files;
  for (const std::string& folder : folders) {
    for (const char* name : kNames) files.push_back(folder.empty() ? name : folder + "/" + name);
  }
  return files;
}

void* open_pattern(const std::string& pattern, std::string* opened) {
  if (pattern.find('*') == std::string::npos) {
    *opened = pattern;
    return dlopen(pattern.c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  void* library = nullptr;
  glob_t found = {};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc && library == nullptr; ++i) {
      *opened = found.gl_pathv[i];
      library = dlopen(found.gl_pathv[i], RTLD_NOW | RTLD_LOCAL);
    }
  }
  globfree(&found);
  return library;
}

template <typename Function>
bool resolve(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

bool resolve_all(void* library, Functions* f) {
  return resolve(library, "cublasLtCreate", &f->create) &&
         resolve(library, "cublasLtDestroy", &f->destroy) &&
         resolve(library, "cublasLtGetVersion", &f->version) &&
         resolve(library, "cublasLtMatmulDescCreate", &f->desc_create) &&
         resolve(library, "cublasLtMatmulDescDestroy", &f->desc_destroy) &&
         resolve(library, "cublasLtMatmulDescSetAttribute", &f->desc_set) &&
         resolve(library, "cublasLtMatrixLayoutCreate", &f->layout_create) &&
         resolve(library, "cublasLtMatrixLayoutDestroy", &f->layout_destroy) &&
         resolve(library, "cublasLtMatrixLayoutSetAttribute", &f->layout_set) &&
         resolve(library, "cublasLtMatmulPreferenceCreate", &f->preference_create) &&
         resolve(library, "cublasLtMatmulPreferenceDestroy", &f->preference_destroy) &&
         resolve(library, "cublasLtMatmulPreferenceSetAttribute", &f->preference_set) &&
         resolve(library, "cublasLtMatmulAlgoGetHeuristic", &f->heuristic) &&
         resolve(library, "cublasLtMatmul", &f->matmul);
}

class LtGemm final : public Gemm {
 public:
  LtGemm(const Functions& f, cublaslt::Handle handle, const GemmShape& shape, void* workspace)
      : f_(f), handle_(handle), shape_(shape), workspace_(workspace) {}

  ~LtGemm() override {
    if (desc_ != nullptr) f_.desc_destroy(desc_);
    for (const cublaslt::Layout layout : {w_, x_, y_}) {
      if (layout != nullptr) f_.layout_destroy(layout);
    }
  }

  LtGemm(const LtGemm&) = delete;
  LtGemm& operator=(const LtGemm&) = delete;

  Status create(uint32_t rows) {
    rows_ = rows;
    int status = f_.desc_create(&desc_, cublaslt::kComputeF32, cublaslt::kTypeF32);
    if (status != 0) return failed("MatmulDescCreate", status);
    SLUICE_RETURN_IF_ERROR(set(cublaslt::kDescTransA, cublaslt::kOpT));
    SLUICE_RETURN_IF_ERROR(set(cublaslt::kDescTransB, cublaslt::kOpN));
    if (shape_.has_bias) {
      SLUICE_RETURN_IF_ERROR(set(cublaslt::kDescEpilogue, cublaslt::kEpilogueBias));
      SLUICE_RETURN_IF_ERROR(set(cublaslt::kDescBiasType, cublaslt::kTypeBf16));
    }
    const int y_type = shape_.is_f32 ? cublaslt::kTypeF32 : cublaslt::kTypeBf16;
    SLUICE_RETURN_IF_ERROR(
        layout(&w_, cublaslt::kTypeBf16, shape_.inputs, shape_.outputs, shape_.inputs));
    SLUICE_RETURN_IF_ERROR(layout(&x_, cublaslt::kTypeBf16, shape_.inputs, rows, shape_.x_stride));
    SLUICE_RETURN_IF_ERROR(layout(&y_, y_type, shape_.outputs, rows, shape_.y_stride));
    return choose();
  }

  Status run(const GemmOperands& operands, DeviceStream stream) override {
    const float one = 1;
    const float zero = 0;
    if (operands.rows != rows_) {
      const uint64_t columns = operands.rows;
      for (const cublaslt::Layout layout : {x_, y_}) {
        const int status = f_.layout_set(layout, cublaslt::kLayoutCols, &columns, sizeof(columns));
        if (status != 0) return failed("MatrixLayoutSetAttribute", status);
      }
      rows_ = operands.rows;
    }
    if (shape_.has_bias) {
      const int status =
          f_.desc_set(desc_, cublaslt::kDescBiasPointer, &operands.bias, sizeof(operands.bias));
      if (status != 0) return failed("MatmulDescSetAttribute", status);
    }
    const int status = f_.matmul(handle_,
                                 desc_,
                                 &one,
                                 operands.w,
                                 w_,
                                 operands.x,
                                 x_,
                                 &zero,
                                 operands.y,
                                 y_,
                                 operands.y,
                                 y_,
                                 &algo_,
                                 workspace_,
                                 kBlasWorkspaceBytes,
                                 stream);
    return status == 0 ? Status::ok() : failed("Matmul", status);
  }

 private:
  Status set(int attribute, int value) {
    const int status = f_.desc_set(desc_, attribute, &value, sizeof(value));
    return status == 0 ? Status::ok() : failed("MatmulDescSetAttribute", status);
  }

  Status layout(cublaslt::Layout* out, int type, uint64_t rows, uint64_t columns, int64_t ld) {
    const int status = f_.layout_create(out, type, rows, columns, ld);
    return status == 0 ? Status::ok() : failed("MatrixLayoutCreate", status);
  }

  Status choose() {
    constexpr uint32_t kAlign = 16;  // bytes, of every operand
    cublaslt::Preference preference = nullptr;
    int status = f_.preference_create(&preference);
    if (status != 0) return failed("MatmulPreferenceCreate", status);
    const uint64_t workspace = kBlasWorkspaceBytes;
    f_.preference_set(
        preference, cublaslt::kPreferenceWorkspaceBytes, &workspace, sizeof(workspace));
    for (int operand = 0; operand < 4; ++operand) {
      f_.preference_set(preference, cublaslt::kPreferenceAlignA + operand, &kAlign, sizeof(kAlign));
    }
    cublaslt::HeuristicResult result = {};
    int found = 0;
    status = f_.heuristic(handle_, desc_, w_, x_, y_, y_, preference, 1, &result, &found);
    f_.preference_destroy(preference);
    if (status != 0) return failed("MatmulAlgoGetHeuristic", status);
    if (found == 0 || result.status != 0) {
      return {StatusCode::kUnsupported,
              "device: cuBLASLt has no algorithm for a GEMM of " + std::to_string(shape_.outputs) +
                  " x " + std::to_string(shape_.inputs)};
    }
    algo_ = result.algo;
    return Status::ok();
  }

  const Functions& f_;
  cublaslt::Handle handle_;
  GemmShape shape_;
  void* workspace_;
  cublaslt::Desc desc_ = nullptr;
  cublaslt::Layout w_ = nullptr;
  cublaslt::Layout x_ = nullptr;
  cublaslt::Layout y_ = nullptr;
  cublaslt::Algo algo_ = {};
  uint32_t rows_ = 0;
};

class OpenCublasLt final : public CublasLt {
 public:
  OpenCublasLt(void* library, const Functions& functions, cublaslt::Handle handle)
      : library_(library), functions_(functions), handle_(handle) {}

  ~OpenCublasLt() override {
    functions_.destroy(handle_);
    dlclose(library_);
  }

  OpenCublasLt(const OpenCublasLt&) = delete;
  OpenCublasLt& operator=(const OpenCublasLt&) = delete;

  void describe(const std::string& file) {
    const size_t version = functions_.version();  // 130100: 13.1.0
    description_ = "cuBLASLt " + std::to_string(version / 10000) + "." +
                   std::to_string(version / 100 % 100) + "." + std::to_string(version % 100) +
                   " from " + file;
  }

  Status plan(const GemmShape& shape,
              uint32_t rows,
              void* workspace,
              std::unique_ptr<Gemm>* gemm) override {
    auto plan = std::make_unique<LtGemm>(functions_, handle_, shape, workspace);
    SLUICE_RETURN_IF_ERROR(plan->create(rows));
    *gemm = std::move(plan);
    return Status::ok();
  }

  const std::string& description() const override { return description_; }

 private:
  void* library_;
  Functions functions_;
  cublaslt::Handle handle_;
  std::string description_;
};

}  // namespace

Status CublasLt::open(std::unique_ptr<CublasLt>* library) {
  std::vector<std::string> files = places();
  const char* wish = std::getenv("SLUICE_CUBLASLT");
  if (wish != nullptr) files = {wish};
  std::string opened;
  void* handle = nullptr;
  for (size_t i = 0; i < files.size() && handle == nullptr; ++i) {
    handle = open_pattern(files[i], &opened);
  }
  if (handle == nullptr) {
    return {StatusCode::kUnsupported,
            wish != nullptr ? std::string("no cuBLASLt at SLUICE_CUBLASLT=") + wish
                            : "no libcublasLt.so.13 or .12 was found"};
  }
  Functions functions = {};
  cublaslt::Handle blas = nullptr;
  if (!resolve_all(handle, &functions) || functions.create(&blas) != 0) {
    dlclose(handle);
    return {StatusCode::kUnsupported, opened + " is not a cuBLASLt that works here"};
  }
  auto result = std::make_unique<OpenCublasLt>(handle, functions, blas);
  result->describe(opened);
  *library = std::move(result);
  return Status::ok();
}

}  // namespace sluice
