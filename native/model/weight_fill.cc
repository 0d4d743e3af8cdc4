// Reading and packing, tensor after tensor; inside a tensor strips go to all threads.
#include "model/weight_fill.h"

#include <algorithm>
#include <span>

namespace sluice {
namespace {

// Rows of several strips are read together, so that small matrices do not cost a call a strip.
constexpr uint64_t kPieceBytes = 1 << 20;

constexpr uint32_t kGrainStrips = 4;

class Filler {
 public:
  Filler(const FillArgs& args, uint64_t total, uint8_t* arena)
      : args_(args), total_(total), arena_(arena) {}

  Status fill_vector(const VectorFill& fill) {
    auto* out = reinterpret_cast<float*>(arena_ + fill.at);
    *fill.vector = out;
    return widen(*fill.tensor, out);
  }

  Status fill_matrix(const MatrixFill& fill) {
    Matrix& matrix = *fill.matrix;
    matrix.weights = arena_ + fill.weights_at;
    if (fill.bias != nullptr) {
      auto* bias = reinterpret_cast<float*>(arena_ + fill.bias_at);
      matrix.bias = bias;
      SLUICE_RETURN_IF_ERROR(widen(*fill.bias, bias));
    }
    return matrix.type == WeightType::kInt4 ? fill_int4(fill) : fill_dense(fill);
  }

 private:
  void report(const Tensor& tensor) {
    done_ += tensor.info.bytes;
    if (args_.progress) args_.progress(done_, total_);
  }

  Status read_whole(const Tensor& tensor, std::vector<uint32_t>* words) {
    words->resize((tensor.info.bytes + 3) / 4);
    return args_.checkpoint->read(
        tensor, 0, {reinterpret_cast<uint8_t*>(words->data()), tensor.info.bytes});
  }

  Status widen(const Tensor& tensor, float* out) {
    std::vector<uint32_t> words;
    SLUICE_RETURN_IF_ERROR(read_whole(tensor, &words));
    const DenseType type = dense_type_of(tensor);
    widen_dense(type,
                reinterpret_cast<const uint8_t*>(words.data()),
                tensor.info.bytes / dense_bytes(type),
                out);
    report(tensor);
    return Status::ok();
  }

  // Rows [first, end) of a dense matrix as they are stored, or of an int8 one as float32.
  Status read_rows(const MatrixFill& fill,
                   uint32_t first,
                   uint32_t end,
                   std::vector<uint8_t>* rows) {
    const uint64_t inputs = fill.matrix->inputs;
    if (!fill.is_int8) {
      const uint64_t row_bytes = inputs * dense_bytes(dense_type_of(*fill.weight));
      return args_.checkpoint->read(
          *fill.weight, first * row_bytes, {rows->data(), (end - first) * row_bytes});
    }
    std::vector<uint8_t> stored((end - first) * inputs);
    SLUICE_RETURN_IF_ERROR(args_.checkpoint->read(*fill.qweight, first * inputs, stored));
    const uint64_t scale_bytes = dense_bytes(dense_type_of(*fill.scales));
    std::vector<uint8_t> stored_scales((end - first) * scale_bytes);
    SLUICE_RETURN_IF_ERROR(
        args_.checkpoint->read(*fill.scales, first * scale_bytes, stored_scales));
    std::vector<float> scales(end - first);
    widen_dense(dense_type_of(*fill.scales), stored_scales.data(), scales.size(), scales.data());
    widen_int8({stored.data(),
                scales.data(),
                end - first,
                fill.matrix->inputs,
                fill.int8_offset,
                reinterpret_cast<float*>(rows->data())});
    return Status::ok();
  }

  // Reads and packs a range of strips, on one worker.
  Status pack_strips(const MatrixFill& fill, WorkRange strips) {
    const Matrix& matrix = *fill.matrix;
    const DenseType from = fill.is_int8 ? DenseType::kF32 : dense_type_of(*fill.weight);
    const uint64_t row_bytes = uint64_t{matrix.inputs} * dense_bytes(from);
    const auto piece = static_cast<uint32_t>(
        std::clamp<uint64_t>(kPieceBytes / (row_bytes * kStripOutputs), 1, matrix.strips()));
    std::vector<uint8_t> rows(piece * kStripOutputs * row_bytes);
    for (uint32_t strip = strips.begin; strip < strips.end; strip += piece) {
      const uint32_t first = strip * kStripOutputs;
      const uint32_t end =
          std::min(std::min(strip + piece, strips.end) * kStripOutputs, matrix.outputs);
      SLUICE_RETURN_IF_ERROR(read_rows(fill, first, end, &rows));
      for (uint32_t row = first; row < end; row += kStripOutputs) {
        PackDenseArgs pack;
        pack.from = from;
        pack.to = packed_type(matrix.type);
        pack.rows = rows.data() + (row - first) * row_bytes;
        pack.rows_count = std::min(kStripOutputs, end - row);
        pack.inputs = matrix.inputs;
        pack.strip = arena_ + fill.weights_at + row / kStripOutputs * matrix.strip_bytes();
        if (!pack_dense_strip(pack)) {
          const Tensor& tensor = fill.is_int8 ? *fill.qweight : *fill.weight;
          return {StatusCode::kInvalid,
                  "tensor " + tensor.info.name +
                      " holds values beyond float16; serve it with another dtype"};
        }
      }
    }
    return Status::ok();
  }

  static DenseType packed_type(WeightType type) {
    if (type == WeightType::kBf16) return DenseType::kBf16;
    return type == WeightType::kF16 ? DenseType::kF16 : DenseType::kF32;
  }

  Status fill_dense(const MatrixFill& fill) {
    std::vector<Status> statuses(args_.pool->threads());
    args_.pool->run(fill.matrix->strips(), kGrainStrips, [&](WorkRange part, uint32_t worker) {
      const Status packed = pack_strips(fill, part);
      if (!packed.is_ok()) statuses[worker] = packed;
    });
    for (const Status& status : statuses) SLUICE_RETURN_IF_ERROR(status);
    report(fill.is_int8 ? *fill.qweight : *fill.weight);
    if (fill.is_int8) report(*fill.scales);
    return Status::ok();
  }

  Status fill_int4(const MatrixFill& fill) {
    Matrix& matrix = *fill.matrix;
    auto* scales_out = reinterpret_cast<float*>(arena_ + fill.scales_at);
    uint8_t* zeros_out = arena_ + fill.zeros_at;
    matrix.scales = scales_out;
    matrix.zeros = zeros_out;
    std::vector<uint32_t> qweight;
    std::vector<uint32_t> qzeros;
    std::vector<uint32_t> scales;
    SLUICE_RETURN_IF_ERROR(read_whole(*fill.qweight, &qweight));
    SLUICE_RETURN_IF_ERROR(read_whole(*fill.scales, &scales));
    if (fill.qzeros != nullptr) SLUICE_RETURN_IF_ERROR(read_whole(*fill.qzeros, &qzeros));
    StoredInt4 tensors;
    tensors.packing = fill.packing;
    tensors.weights = qweight.data();
    tensors.zeros = fill.qzeros != nullptr ? qzeros.data() : nullptr;
    tensors.scales = reinterpret_cast<const uint8_t*>(scales.data());
    tensors.scale_type = dense_type_of(*fill.scales);
    tensors.inputs = matrix.inputs;
    tensors.outputs = matrix.outputs;
    tensors.groups = matrix.groups();
    args_.pool->run(matrix.strips(), kGrainStrips, [&](WorkRange strips, uint32_t) {
      for (uint32_t strip = strips.begin; strip < strips.end; ++strip) {
        const uint64_t group = uint64_t{strip} * matrix.groups() * kStripOutputs;
        uint8_t* words = arena_ + fill.weights_at + strip * matrix.strip_bytes();
        pack_int4_strip(
            tensors,
            {strip, reinterpret_cast<uint32_t*>(words), scales_out + group, zeros_out + group});
      }
    });
    report(*fill.qweight);
    report(*fill.scales);
    if (fill.qzeros != nullptr) report(*fill.qzeros);
    return Status::ok();
  }

  const FillArgs& args_;
  uint64_t done_ = 0;
  uint64_t total_;
  uint8_t* arena_;
};

}  // namespace

Status fill_weights(const FillArgs& args, const WeightPlan& plan, ModelWeights* weights) {
  SLUICE_RETURN_IF_ERROR(LargeBuffer::allocate(plan.arena_bytes, &weights->arena));
  Filler filler(args, plan.stored_bytes, weights->arena.data());
  for (const VectorFill& fill : plan.vectors) SLUICE_RETURN_IF_ERROR(filler.fill_vector(fill));
  for (const MatrixFill& fill : plan.matrices) SLUICE_RETURN_IF_ERROR(filler.fill_matrix(fill));
  if (weights->head.parts.empty()) weights->head.parts.push_back({weights->embedding, 0});
  return Status::ok();
}

}  // namespace sluice
