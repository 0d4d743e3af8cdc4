// The choice of kernels for a run, and the scratch that they share.
#include "kernels/cuda/linear.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "kernels/cuda/dense.h"
#include "kernels/cuda/strip_linear.h"
#include "kernels/cuda/wide_linear.h"
#include "runtime/cuda/cublaslt.h"

namespace sluice {
namespace {

constexpr uint64_t kAlign = 256;

// Widened weights are made and read slice by slice, so that they stay in L2.
constexpr uint64_t kSliceBytes = 32u << 20;
constexpr uint32_t kSliceStep = 256;  // outputs

struct Regions {
  uint64_t workspace = 0;
  uint64_t gate_up = 0;
  uint64_t slice = 0;
  uint64_t partials = 0;
  uint64_t arrivals = 0;
  uint64_t total = 0;
};

uint64_t take(uint64_t* at, uint64_t bytes) {
  const uint64_t begin = *at;
  *at += (bytes + kAlign - 1) / kAlign * kAlign;
  return begin;
}

Regions regions_of(const LinearOptions& options) {
  Regions regions;
  DeviceMatrix widest;
  widest.outputs = options.outputs_max;
  widest.inputs = options.inputs_max;
  const StripShape shape = strip_shape(widest);
  uint64_t at = 0;
  regions.workspace = take(&at, kBlasWorkspaceBytes);
  regions.gate_up = take(&at, uint64_t{options.rows_max} * options.gate_outputs_max * 2);
  regions.slice = take(&at, options.has_quantised ? kSliceBytes : 0);
  regions.partials = take(&at, std::max(strip_partial_bytes(shape), wide_partial_bytes()));
  regions.arrivals =
      take(&at, std::max(strip_arrival_bytes(shape), wide_arrival_bytes(options.outputs_max)));
  regions.total = at;
  return regions;
}

// Rows up to which the wide kernel beats widening slices for cuBLASLt.
constexpr uint32_t kWideRowsMax = 48;

// Algorithms are chosen for a bucket of rows and run with its rows or fewer.
uint32_t bucket_of(uint32_t rows) {
  const uint32_t step = rows <= 512 ? 64 : 256;
  return (rows + step - 1) / step * step;
}

class Layers final : public LinearLayers {
 public:
  Layers(const LinearOptions& options, void* scratch)
      : options_(options),
        regions_(regions_of(options)),
        scratch_(static_cast<uint8_t*>(scratch)) {}

  void open_blas() {
    if (options_.deterministic) {
      blas_name_ = "not used in deterministic mode";
      return;
    }
    const Status opened = CublasLt::open(&blas_);
    blas_name_ = opened.is_ok() ? blas_->description() : opened.message();
  }

  Status run(const LinearArgs& args, DeviceStream stream) override {
    if (args.rows == 0) return Status::ok();
    SLUICE_CHECK(args.rows <= options_.rows_max);
    const bool is_dense = args.matrix->format == DeviceFormat::kBf16;
    if (!options_.deterministic && args.rows <= strip_rows_max(*args.matrix)) {
      return strip_linear(args, strip_scratch(), stream);
    }
    // cuBLASLt adds no bf16 bias to float32 results.
    const bool has_odd_bias = args.output == LinearOutput::kF32 && args.matrix->bias != nullptr;
    const bool is_narrow = !is_dense && args.matrix->widened == nullptr;
    if (blas_ == nullptr || has_odd_bias || (is_narrow && args.rows <= kWideRowsMax)) {
      return wide_linear(args, strip_scratch(), stream);
    }
    return run_blas(args, stream);
  }

  const char* blas() const override { return blas_name_.c_str(); }

 private:
  StripScratch strip_scratch() const {
    return {scratch_ + regions_.partials,
            reinterpret_cast<uint32_t*>(scratch_ + regions_.arrivals)};
  }

  Status run_blas(const LinearArgs& args, DeviceStream stream) {
    if (args.output != LinearOutput::kSiluMul) return run_dense(args, stream);
    SLUICE_CHECK(args.matrix->outputs <= options_.gate_outputs_max);
    LinearArgs gate_up = args;
    gate_up.output = LinearOutput::kBf16;
    gate_up.out = scratch_ + regions_.gate_up;
    gate_up.out_stride = args.matrix->outputs;
    SLUICE_RETURN_IF_ERROR(run_dense(gate_up, stream));
    GateArgs gate;
    gate.gate_up = static_cast<const uint16_t*>(gate_up.out);
    gate.out = static_cast<uint16_t*>(args.out);
    gate.rows = args.rows;
    gate.width = args.matrix->outputs / 2;
    gate.out_stride = args.out_stride;
    return gate_mul(gate, stream);
  }

  Status run_dense(const LinearArgs& args, DeviceStream stream) {
    const DeviceMatrix& matrix = *args.matrix;
    if (matrix.format == DeviceFormat::kBf16) return run_gemm(args, matrix, stream);
    if (matrix.widened != nullptr) {
      DeviceMatrix whole = matrix;
      whole.weights = matrix.widened;
      return run_gemm(args, whole, stream);
    }
    const auto most = static_cast<uint32_t>(kSliceBytes / (uint64_t{matrix.inputs} * 2));
    const uint32_t count = std::max(most / kSliceStep * kSliceStep, kStripRows);
    const uint32_t out_bytes = args.output == LinearOutput::kF32 ? 4 : 2;
    auto* widened = reinterpret_cast<uint16_t*>(scratch_ + regions_.slice);
    for (uint32_t first = 0; first < matrix.outputs; first += count) {
      DeviceMatrix slice = matrix;
      slice.format = DeviceFormat::kBf16;
      slice.outputs = std::min(count, matrix.outputs - first);
      slice.weights = widened;
      slice.bias = matrix.bias == nullptr ? nullptr : matrix.bias + first;
      SLUICE_RETURN_IF_ERROR(widen_weights({&matrix, first, slice.outputs, widened}, stream));
      LinearArgs part = args;
      part.out = static_cast<uint8_t*>(args.out) + uint64_t{first} * out_bytes;
      SLUICE_RETURN_IF_ERROR(run_gemm(part, slice, stream));
    }
    return Status::ok();
  }

  Status run_gemm(const LinearArgs& args, const DeviceMatrix& dense, DeviceStream stream) {
    GemmShape shape;
    shape.outputs = dense.outputs;
    shape.inputs = dense.inputs;
    shape.x_stride = args.x_stride;
    shape.y_stride = args.out_stride;
    shape.is_f32 = args.output == LinearOutput::kF32;
    shape.has_bias = dense.bias != nullptr;
    Gemm* gemm = nullptr;
    SLUICE_RETURN_IF_ERROR(find_plan(shape, bucket_of(args.rows), &gemm));
    return gemm->run({args.x, dense.weights, dense.bias, args.out, args.rows}, stream);
  }

  Status find_plan(const GemmShape& shape, uint32_t bucket, Gemm** gemm) {
    const auto key = std::make_tuple(shape.outputs,
                                     shape.inputs,
                                     shape.x_stride,
                                     shape.y_stride,
                                     shape.is_f32,
                                     shape.has_bias,
                                     bucket);
    const auto found = plans_.find(key);
    if (found != plans_.end()) {
      *gemm = found->second.get();
      return Status::ok();
    }
    std::unique_ptr<Gemm> plan;
    SLUICE_RETURN_IF_ERROR(blas_->plan(shape, bucket, scratch_ + regions_.workspace, &plan));
    *gemm = plan.get();
    plans_.emplace(key, std::move(plan));
    return Status::ok();
  }

  using PlanKey = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t, bool, bool, uint32_t>;

  LinearOptions options_;
  Regions regions_;
  uint8_t* scratch_;
  std::unique_ptr<CublasLt> blas_;
  std::string blas_name_;
  std::map<PlanKey, std::unique_ptr<Gemm>> plans_;  // destroyed before blas_
};

}  // namespace

uint64_t LinearLayers::scratch_bytes(const LinearOptions& options) {
  return regions_of(options).total;
}

Status LinearLayers::open(const LinearOptions& options,
                          void* scratch,
                          std::unique_ptr<LinearLayers>* layers) {
  auto opened = std::make_unique<Layers>(options, scratch);
  opened->open_blas();
  *layers = std::move(opened);
  return Status::ok();
}

}  // namespace sluice
