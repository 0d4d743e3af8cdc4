// From the CPU's plan of a checkpoint (which tensor is which matrix) to the device's tasks.
#include "model/cuda/weight_tasks.h"

#include <algorithm>
#include <unordered_map>

namespace sluice {
namespace {

using FillOf = std::unordered_map<const Matrix*, const MatrixFill*>;

FillOf fills_of(const WeightPlan& plan) {
  FillOf fills;
  for (const MatrixFill& fill : plan.matrices) fills[fill.matrix] = &fill;
  return fills;
}

Status format_of_part(const Matrix& matrix, const MatrixFill& fill, LinearFormat* format) {
  if (fill.qweight == nullptr) return Status::ok();
  if (fill.is_int8) {
    format->format = DeviceFormat::kInt8;
    if (matrix.inputs % 16 == 0) return Status::ok();
    return {StatusCode::kUnsupported,
            "tensor " + fill.qweight->info.name + ": " + std::to_string(matrix.inputs) +
                " inputs in 8 bits do not run on a device"};
  }
  format->format = DeviceFormat::kInt4;
  format->group_inputs = device_group_inputs(matrix.group_inputs);
  if (format->group_inputs != 0 && matrix.inputs % 32 == 0) return Status::ok();
  return {StatusCode::kUnsupported,
          "tensor " + fill.qweight->info.name + ": " + std::to_string(matrix.inputs) +
              " inputs in groups of " + std::to_string(matrix.group_inputs) +
              " do not run on a device"};
}

Status format_of_linear(const FillOf& fills, const Linear& linear, LinearFormat* format) {
  for (size_t i = 0; i < linear.parts.size(); ++i) {
    const Matrix& matrix = linear.parts[i].matrix;
    const MatrixFill& fill = *fills.at(&matrix);
    LinearFormat part;
    SLUICE_RETURN_IF_ERROR(format_of_part(matrix, fill, &part));
    const bool same = part.format == format->format && part.group_inputs == format->group_inputs;
    if (i > 0 && !same) {
      return {StatusCode::kUnsupported,
              "linears that are computed together are stored in different formats, which does not "
              "run on a device"};
    }
    *format = part;
  }
  return Status::ok();
}

class Lister {
 public:
  Lister(const WeightPlan& plan, LoadTasks* tasks) : fills_(fills_of(plan)), tasks_(tasks) {}

  void linear(const Linear& linear, const DeviceMatrix& out) {
    uint32_t first = 0;
    for (const LinearPart& part : linear.parts) {
      matrix(part.matrix, {first, kBlock, kBlock}, out);
      first += part.matrix.outputs;
    }
  }

  void gate_up(const Linear& linear, const DeviceMatrix& out) {
    matrix(linear.parts[0].matrix, kGateRows, out);
    matrix(linear.parts[1].matrix, kUpRows, out);
  }

  void table(const Matrix& table, const uint16_t* out) {
    dense(*fills_.at(&table)->weight, {table.outputs, table.inputs}, {}, out);
  }

 private:
  static constexpr uint32_t kBlock = RowPlacement{}.block;

  struct Size {
    uint32_t rows;
    uint32_t inputs;
  };

  void matrix(const Matrix& matrix, const RowPlacement& placement, const DeviceMatrix& out) {
    const MatrixFill& fill = *fills_.at(&matrix);
    if (fill.bias != nullptr) dense(*fill.bias, {matrix.outputs, 1}, placement, out.bias);
    if (fill.qweight == nullptr) {
      const auto* weights = static_cast<const uint16_t*>(out.weights);
      return dense(*fill.weight, {matrix.outputs, matrix.inputs}, placement, weights);
    }
    if (fill.is_int8) return int8(matrix, placement, out);
    Int4Load load;
    load.fill = &fill;
    load.shape.packing = fill.packing;
    load.shape.scale_type = dense_type_of(*fill.scales);
    load.shape.outputs = matrix.outputs;
    load.shape.inputs = matrix.inputs;
    load.shape.group_inputs = matrix.group_inputs;
    load.placement = placement;
    load.out = out;
    tasks_->int4.push_back(load);
  }

  void int8(const Matrix& matrix, const RowPlacement& placement, const DeviceMatrix& out) {
    const MatrixFill& fill = *fills_.at(&matrix);
    const uint64_t blocks =
        std::max<uint64_t>(1, kPieceBytes / (uint64_t{matrix.inputs} * placement.block));
    const auto rows_max =
        static_cast<uint32_t>(std::min<uint64_t>(blocks * placement.block, matrix.outputs));
    for (uint32_t row = 0; row < matrix.outputs; row += rows_max) {
      Int8Piece piece;
      piece.fill = &fill;
      piece.first_row = row;
      piece.shape.scale_type = dense_type_of(*fill.scales);
      piece.shape.outputs = std::min(rows_max, matrix.outputs - row);
      piece.shape.inputs = matrix.inputs;
      piece.placement = placement;
      piece.placement.first += row / placement.block * placement.stride;
      piece.out = out;
      tasks_->int8.push_back(piece);
    }
  }

  // Whole blocks of rows a piece, so that each piece's placement is the tensor's, moved on.
  void dense(const Tensor& tensor,
             const Size& size,
             const RowPlacement& placement,
             const uint16_t* out) {
    const DenseType type = dense_type_of(tensor);
    const uint64_t row_bytes = uint64_t{size.inputs} * dense_bytes(type);
    const uint64_t blocks = std::max<uint64_t>(1, kPieceBytes / (row_bytes * placement.block));
    const auto rows_max =
        static_cast<uint32_t>(std::min<uint64_t>(blocks * placement.block, size.rows));
    for (uint32_t row = 0; row < size.rows; row += rows_max) {
      DensePiece piece;
      piece.tensor = &tensor;
      piece.offset = row * row_bytes;
      piece.shape.type = type;
      piece.shape.rows = std::min(rows_max, size.rows - row);
      piece.shape.inputs = size.inputs;
      piece.bytes = piece.shape.rows * row_bytes;
      piece.placement = placement;
      piece.placement.first += row / placement.block * placement.stride;
      // The arena is the loader's to write; the weights that point into it are not.
      piece.out = const_cast<uint16_t*>(out);
      tasks_->pieces.push_back(piece);
    }
  }

  const FillOf fills_;
  LoadTasks* const tasks_;
};

}  // namespace

uint64_t Int4Load::stored_bytes() const {
  const uint64_t zeros = fill->qzeros == nullptr ? 0 : fill->qzeros->info.bytes;
  return fill->qweight->info.bytes + fill->scales->info.bytes + zeros;
}

Status formats_of(const ModelWeights& planned,
                  const WeightPlan& plan,
                  std::vector<LinearFormat>* formats) {
  const FillOf fills = fills_of(plan);
  if (fills.at(&planned.embedding)->qweight != nullptr) {
    return {StatusCode::kUnsupported, "a quantised embedding does not run on a device"};
  }
  formats->assign(format_index(LinearKind::kQkv, static_cast<uint32_t>(planned.layers.size())), {});
  SLUICE_RETURN_IF_ERROR(format_of_linear(fills, planned.head, &formats->front()));
  for (uint32_t i = 0; i < planned.layers.size(); ++i) {
    const LayerWeights& layer = planned.layers[i];
    const std::pair<LinearKind, const Linear*> linears[] = {{LinearKind::kQkv, &layer.qkv},
                                                            {LinearKind::kOutput, &layer.output},
                                                            {LinearKind::kGateUp, &layer.gate_up},
                                                            {LinearKind::kDown, &layer.down}};
    for (const auto& [kind, linear] : linears) {
      SLUICE_RETURN_IF_ERROR(format_of_linear(fills, *linear, &(*formats)[format_index(kind, i)]));
    }
  }
  return Status::ok();
}

void list_tasks(const ModelWeights& planned,
                const WeightPlan& plan,
                const DeviceWeights& weights,
                LoadTasks* tasks) {
  Lister lister(plan, tasks);
  lister.table(planned.embedding, weights.embedding);
  if (!planned.head.parts.empty()) lister.linear(planned.head, weights.head);
  std::unordered_map<const float* const*, const float*> vector_of{
      {&planned.final_norm, weights.final_norm}};
  for (size_t i = 0; i < planned.layers.size(); ++i) {
    const LayerWeights& from = planned.layers[i];
    const DeviceLayer& to = weights.layers[i];
    lister.linear(from.qkv, to.qkv);
    lister.linear(from.output, to.output);
    lister.gate_up(from.gate_up, to.gate_up);
    lister.linear(from.down, to.down);
    vector_of.insert({{&from.input_norm, to.input_norm},
                      {&from.mlp_norm, to.mlp_norm},
                      {&from.query_norm, to.query_norm},
                      {&from.key_norm, to.key_norm}});
  }
  for (const VectorFill& fill : plan.vectors) {
    tasks->vectors.push_back({fill.tensor, const_cast<float*>(vector_of.at(fill.vector))});
  }
}

}  // namespace sluice
