// Linear layers against float64 sums of the stored weights: every format, the sizes of supported
// models and their edges, few and many rows; and what is promised to the bit.
#include <string>

#include "kernels/cuda/dense.h"
#include "kernels/cuda/wide_linear.h"
#include "linear_rig.h"

namespace sluice {
namespace {

using check::DeviceArray;
using check::FastRandom;
using check::make_matrix;
using check::MatrixSpec;
using check::Source;
using check::TestMatrix;

constexpr uint32_t kRowsMax = 300;
constexpr uint32_t kPad = 8;  // elements between rows that nothing may write

struct Rig {
  explicit Rig(bool deterministic) {
    LinearOptions options;
    options.deterministic = deterministic;
    options.has_quantised = true;
    options.rows_max = kRowsMax;
    options.outputs_max = 32768;
    options.inputs_max = 14336;
    options.gate_outputs_max = 28672;
    scratch = DeviceArray<uint8_t>(LinearLayers::scratch_bytes(options));
    cudaMemset(scratch.data(), 0, scratch.size());
    CHECK(LinearLayers::open(options, scratch.data(), &layers).is_ok());
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaDeviceSynchronize();
  }
  ~Rig() { cudaStreamDestroy(stream); }

  DeviceArray<uint8_t> scratch;
  std::unique_ptr<LinearLayers> layers;
  cudaStream_t stream = nullptr;
};

Rig& shared_rig() {
  static Rig rig(false);
  return rig;
}

struct Input {
  DeviceArray<uint16_t> values;
  uint32_t stride;
};

// One channel is far larger than the rest, as it is in real models.
Input make_input(uint32_t rows, uint32_t inputs, uint64_t seed) {
  FastRandom random(seed);
  const uint32_t stride = inputs + kPad;
  std::vector<uint16_t> x(size_t{rows} * stride, 0x7FC0);
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t k = 0; k < inputs; ++k) {
      x[size_t{row} * stride + k] = f32_to_bf16(random.value() * (k == inputs / 3 ? 30.0f : 1.0f));
    }
  }
  return {DeviceArray<uint16_t>(x), stride};
}

uint32_t width_of(const DeviceMatrix& matrix, LinearOutput output) {
  return output == LinearOutput::kSiluMul ? matrix.outputs / 2 : matrix.outputs;
}

// The output as stored, rows of width + kPad; `first` row of x.
template <typename T>
std::vector<T> run_rows(Rig* rig, const TestMatrix& test, const Input& x, LinearArgs args) {
  const uint32_t width = width_of(test.matrix, args.output);
  args.matrix = &test.matrix;
  args.x_stride = x.stride;
  args.out_stride = (width + 7) / 8 * 8 + kPad;
  const DeviceArray<T> out(size_t{args.rows} * args.out_stride);
  args.out = out.data();
  cudaDeviceSynchronize();
  const Status status = rig->layers->run(args, rig->stream);
  if (!status.is_ok()) check::fail(__FILE__, __LINE__, status.message());
  const cudaError_t finished = cudaStreamSynchronize(rig->stream);
  if (finished != cudaSuccess) check::fail(__FILE__, __LINE__, cudaGetErrorString(finished));
  return out.read();
}

double as_double(float value) {
  return value;
}
double as_double(uint16_t value) {
  return bf16_to_f32(value);
}

std::string describe(const MatrixSpec& spec, uint32_t rows, LinearOutput output) {
  return "source " + std::to_string(static_cast<int>(spec.source)) + " " +
         std::to_string(spec.inputs) + " -> " + std::to_string(spec.outputs) + " g" +
         std::to_string(spec.group) + " rows " + std::to_string(rows) + " output " +
         std::to_string(static_cast<int>(output));
}

std::vector<double> expected_of(std::vector<double> sums, uint32_t outputs, LinearOutput output) {
  if (output != LinearOutput::kSiluMul) return sums;
  std::vector<double> gated(sums.size() / 2);
  const uint32_t width = outputs / 2;
  for (size_t i = 0; i < gated.size(); ++i) {
    const size_t row = i / width;
    const size_t column = i % width;
    const size_t at = row * outputs + column / 8 * 16 + column % 8;
    gated[i] = sums[at] / (1 + std::exp(-sums[at])) * sums[at + 8];
  }
  return gated;
}

// Norm of the error against the norm of the result; padding must be untouched.
template <typename T>
double error_of(const std::vector<T>& got, const std::vector<double>& expected, uint32_t rows) {
  const size_t width = expected.size() / rows;
  const size_t stride = got.size() / rows;
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const size_t column = i % stride;
    if (column >= width) {
      T poison;
      std::memset(&poison, 0xFF, sizeof(T));
      if (std::memcmp(&got[i], &poison, sizeof(T)) != 0) return INFINITY;
      continue;
    }
    const double want = expected[i / stride * width + column];
    const double difference = as_double(got[i]) - want;
    error += difference * difference;
    norm += want * want;
  }
  return std::sqrt(error / norm);
}

// Sums in float32 of exact products; weights rounded once where cuBLASLt takes widened ones.
double bound_of(const MatrixSpec& spec, uint32_t rows, LinearOutput output) {
  const bool is_widened = rows > 48 && spec.source != Source::kBf16 && spec.source != Source::kF16;
  if (output == LinearOutput::kF32) return is_widened ? 3e-3 : rows > kStripRowsMax ? 5e-5 : 1e-5;
  return output == LinearOutput::kBf16 ? 4e-3 : 6e-3;
}

struct Case {
  MatrixSpec spec;
  std::vector<uint32_t> rows;
  LinearOutput output = LinearOutput::kBf16;
};

void check_case(Rig* rig, const Case& one, uint64_t seed) {
  const TestMatrix test = make_matrix(one.spec, seed);
  uint32_t most = 0;
  for (const uint32_t rows : one.rows) most = std::max(most, rows);
  const Input x = make_input(most, one.spec.inputs, seed + 1);
  const std::vector<double> sums = check::reference_linear(test, x.values, x.stride, most);
  for (const uint32_t rows : one.rows) {
    LinearArgs args;
    args.x = x.values.data();
    args.rows = rows;
    args.output = one.output;
    std::vector<double> expected(sums.begin(), sums.begin() + size_t{rows} * one.spec.outputs);
    expected = expected_of(std::move(expected), one.spec.outputs, one.output);
    const double error = one.output == LinearOutput::kF32
                             ? error_of(run_rows<float>(rig, test, x, args), expected, rows)
                             : error_of(run_rows<uint16_t>(rig, test, x, args), expected, rows);
    if (!(error < bound_of(one.spec, rows, one.output))) {
      check::fail(__FILE__,
                  __LINE__,
                  describe(one.spec, rows, one.output) + ": error " + std::to_string(error));
    }
  }
}

const std::vector<uint32_t> kFew = {1, 2, 7, 8, 9, 15, 16};
const std::vector<uint32_t> kMany = {1, 8, 16, 17, 48, 64, 65, 129, 257};

TEST("bf16 matrices of small models, float32 out") {
  check_case(&shared_rig(), {{Source::kBf16, 960, 576}, kMany, LinearOutput::kF32}, 1);
  check_case(&shared_rig(), {{Source::kF16, 576, 1536}, kMany, LinearOutput::kF32}, 2);
  check_case(
      &shared_rig(), {{Source::kBf16, 2560, 2048, 0, false, true}, kMany, LinearOutput::kF32}, 3);
}

TEST("bf16 matrices of odd sizes") {
  check_case(&shared_rig(), {{Source::kBf16, 1003, 72}, kFew, LinearOutput::kF32}, 4);
  check_case(&shared_rig(), {{Source::kBf16, 17, 40}, kFew, LinearOutput::kF32}, 5);
  check_case(&shared_rig(), {{Source::kBf16, 8, 8}, kFew, LinearOutput::kF32}, 6);
  check_case(&shared_rig(), {{Source::kBf16, 48, 4104}, kFew, LinearOutput::kF32}, 7);
}

TEST("bf16 matrices of an 8B model") {
  check_case(&shared_rig(), {{Source::kBf16, 6144, 4096}, kMany}, 8);
  check_case(&shared_rig(), {{Source::kBf16, 4096, 14336}, kMany, LinearOutput::kF32}, 9);
  MatrixSpec gate_up{Source::kBf16, 28672, 4096};
  gate_up.is_gated = true;
  check_case(&shared_rig(), {gate_up, {1, 8, 16, 64}, LinearOutput::kSiluMul}, 10);
}

TEST("bf16 gate and up with bias") {
  MatrixSpec spec{Source::kBf16, 3072, 576, 0, true, true};
  check_case(&shared_rig(), {spec, kMany, LinearOutput::kSiluMul}, 11);
}

TEST("int4 matrices, float32 out") {
  const Source sources[] = {
      Source::kAwq, Source::kAwqSymmetric, Source::kPacked, Source::kPackedSymmetric};
  uint64_t seed = 20;
  for (const Source source : sources) {
    for (const uint32_t group : {32u, 64u, 128u, 640u}) {
      check_case(&shared_rig(), {{source, 208, 640, group}, kMany, LinearOutput::kF32}, ++seed);
    }
  }
  check_case(&shared_rig(), {{Source::kAwq, 960, 576, 64}, kMany, LinearOutput::kF32}, 40);
  check_case(&shared_rig(), {{Source::kAwq, 72, 96, 32}, kFew, LinearOutput::kF32}, 41);
  check_case(&shared_rig(), {{Source::kAwq, 2048, 5632, 128}, kMany, LinearOutput::kF32}, 42);
}

TEST("int4 matrices of an 8B model") {
  check_case(&shared_rig(), {{Source::kAwq, 6144, 4096, 128}, kMany, LinearOutput::kF32}, 50);
  check_case(&shared_rig(), {{Source::kPackedSymmetric, 4096, 14336, 128}, kMany}, 51);
  check_case(&shared_rig(), {{Source::kAwq, 1024, 4096, 32}, kFew, LinearOutput::kF32}, 53);
  MatrixSpec gate_up{Source::kAwq, 28672, 4096, 128};
  gate_up.is_gated = true;
  check_case(&shared_rig(), {gate_up, {1, 8, 16, 64}, LinearOutput::kSiluMul}, 52);
}

TEST("int4 gate and up with bias, groups of 32 and 64") {
  for (const uint32_t group : {32u, 64u}) {
    MatrixSpec spec{Source::kAwq, 3072, 576, group, true, true};
    check_case(&shared_rig(), {spec, kMany, LinearOutput::kSiluMul}, 60 + group);
  }
}

TEST("int8 matrices") {
  check_case(&shared_rig(), {{Source::kInt8, 960, 576}, kMany, LinearOutput::kF32}, 70);
  check_case(&shared_rig(), {{Source::kInt8, 1003, 48}, kFew, LinearOutput::kF32}, 71);
  check_case(&shared_rig(), {{Source::kInt8, 2048, 5632, 0, false, true}, kMany}, 72);
  MatrixSpec gate_up{Source::kInt8, 11264, 2048};
  gate_up.is_gated = true;
  check_case(&shared_rig(), {gate_up, kMany, LinearOutput::kSiluMul}, 73);
}

TEST("matrices and rows by chance") {
  FastRandom random(1234);
  for (int i = 0; i < 40; ++i) {
    MatrixSpec spec;
    spec.source = static_cast<Source>(random.below(7));
    spec.group = 32u << random.below(3);
    const uint32_t unit = check::is_int4(spec.source)    ? spec.group
                          : spec.source == Source::kInt8 ? 16
                                                         : 8;
    spec.inputs = unit * (1 + random.below(6000 / unit));
    spec.outputs = 16 * (1 + random.below(100));
    spec.has_bias = random.below(2) == 0;
    const uint32_t rows = 1 + random.below(kRowsMax);
    check_case(&shared_rig(),
               {spec, {1 + random.below(16), rows}, LinearOutput::kF32},
               1000 + static_cast<uint64_t>(i));
  }
}

// Rows [0, rows) at once and one by one.
void check_rows_alone(Rig* rig, const MatrixSpec& spec, uint32_t rows) {
  const TestMatrix test = make_matrix(spec, 77);
  const Input x = make_input(rows, spec.inputs, 78);
  LinearArgs args;
  args.x = x.values.data();
  args.rows = rows;
  args.output = spec.is_gated ? LinearOutput::kSiluMul : LinearOutput::kBf16;
  const std::vector<uint16_t> together = run_rows<uint16_t>(rig, test, x, args);
  const size_t stride = together.size() / rows;
  uint32_t different = 0;
  for (uint32_t row = 0; row<rows; row += rows> 32 ? 13 : 1) {
    args.x = x.values.data() + size_t{row} * x.stride;
    args.rows = 1;
    const std::vector<uint16_t> alone = run_rows<uint16_t>(rig, test, x, args);
    different += std::memcmp(alone.data(), &together[row * stride], stride * 2) != 0 ? 1 : 0;
  }
  if (different != 0) {
    check::fail(
        __FILE__,
        __LINE__,
        describe(spec, rows, args.output) + ": rows that differ: " + std::to_string(different));
  }
}

TEST("few rows together and one by one are equal to the bit") {
  for (const uint32_t rows : {7u, 8u, 9u, 16u}) {
    check_rows_alone(&shared_rig(), {Source::kBf16, 2048, 5632}, rows);
    check_rows_alone(&shared_rig(), {Source::kInt8, 2048, 5632}, rows);
    for (const uint32_t group : {32u, 64u, 128u}) {
      check_rows_alone(&shared_rig(), {Source::kAwq, 2048, 5632, group}, rows);
    }
  }
}

TEST("in deterministic mode any rows together and one by one are equal to the bit") {
  Rig rig(true);
  for (const uint32_t rows : {17u, 64u, 129u, 300u}) {
    check_rows_alone(&rig, {Source::kBf16, 4096, 4096}, rows);
    check_rows_alone(&rig, {Source::kBf16, 2048, 5632, 0, false, true}, rows);
    check_rows_alone(&rig, {Source::kInt8, 960, 576}, rows);
    for (const uint32_t group : {32u, 64u, 128u}) {
      check_rows_alone(&rig, {Source::kAwq, 2048, 5632, group}, rows);
    }
    check_rows_alone(&rig, {Source::kAwq, 3072, 640, 128, true, true}, rows);
    check_rows_alone(&rig, {Source::kBf16, 3072, 576, 0, true, false}, rows);
  }
  check_case(&rig, {{Source::kAwq, 2048, 5632, 128}, {17, 100, 257}}, 90);
  check_case(&rig, {{Source::kBf16, 1003, 72}, {17, 100, 257}}, 91);
}

TEST("widened int4 and int8 weights are the checkpoint's, rounded once") {
  for (const Source source : {Source::kAwq, Source::kInt8}) {
    const MatrixSpec spec{source, 208, 704, 64};
    const TestMatrix test = make_matrix(spec, 95);
    constexpr uint32_t kFirst = 48;
    const uint32_t count = spec.outputs - kFirst;
    const DeviceArray<uint16_t> out(size_t{count} * spec.inputs);
    CHECK(widen_weights({&test.matrix, kFirst, count, out.data()}, nullptr).is_ok());
    const std::vector<uint16_t> widened = out.read();
    uint32_t wrong = 0;
    for (size_t i = 0; i < widened.size(); ++i) {
      const float want = test.values[size_t{kFirst} * spec.inputs + i];
      // -0 and 0 are alike.
      wrong += bf16_to_f32(widened[i]) != bf16_to_f32(f32_to_bf16(want)) ? 1 : 0;
    }
    CHECK_EQ(wrong, 0u);
  }
}

TEST("a graph's replay equals the eager run to the bit") {
  Rig& rig = shared_rig();
  for (const uint32_t rows : {1u, 16u, 64u}) {
    const TestMatrix test = make_matrix({Source::kAwq, 2048, 5632, 128}, 96);
    const Input x = make_input(rows, 5632, 97);
    LinearArgs args;
    args.x = x.values.data();
    args.rows = rows;
    const std::vector<uint16_t> eager = run_rows<uint16_t>(&rig, test, x, args);
    const DeviceArray<uint16_t> out(eager.size());
    args.matrix = &test.matrix;
    args.x_stride = x.stride;
    args.out_stride = static_cast<uint32_t>(eager.size() / rows);
    args.out = out.data();
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    cudaStreamBeginCapture(rig.stream, cudaStreamCaptureModeThreadLocal);
    for (int i = 0; i < 3; ++i) CHECK(rig.layers->run(args, rig.stream).is_ok());
    REQUIRE(cudaStreamEndCapture(rig.stream, &graph) == cudaSuccess);
    REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
    for (int i = 0; i < 5; ++i) cudaGraphLaunch(executable, rig.stream);
    CHECK_EQ(cudaStreamSynchronize(rig.stream), cudaSuccess);
    CHECK(std::memcmp(out.read().data(), eager.data(), eager.size() * 2) == 0);
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
  }
}

TEST("cuBLASLt is there") {
  std::printf("  %s\n", shared_rig().layers->blas());
  CHECK(std::string(shared_rig().layers->blas()).find("cuBLASLt ") == 0);
}

}  // namespace
}  // namespace sluice
