// Norms, the placing of queries, keys and values, block tables and swap, each against the same sums
// in float64 over the stored bf16 values.
#include <cmath>
#include <string>
#include <vector>

#include "check.h"
#include "device_array.h"
#include "kernels/cuda/kv_layout.cuh"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/place.h"
#include "kernels/cuda/swap.h"
#include "kernels/cuda/tables.h"
#include "kernels/dtype.h"
#include "runtime/cuda/device.h"

namespace sluice {
namespace {

using check::DeviceArray;
using check::FastRandom;

constexpr double kBound = 3e-3;  // of ||out - wanted|| / ||wanted||: one rounding to bf16
constexpr uint16_t kPoison = 0xFFFF;

double wide(uint16_t value) {
  return static_cast<double>(bf16_to_f32(value));
}

std::vector<uint16_t> bf16_values(FastRandom* random, size_t count) {
  std::vector<uint16_t> values(count);
  for (uint16_t& value : values) value = f32_to_bf16(random->value());
  return values;
}

std::vector<float> weights_near_one(FastRandom* random, size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = 1 + 0.3f * random->value();
  return values;
}

struct Error {
  double off = 0;
  double size = 0;
  void add(double found, double wanted) {
    off += (found - wanted) * (found - wanted);
    size += wanted * wanted;
  }
  double relative() const { return std::sqrt(off / std::max(size, 1e-30)); }
};

void wait_device() {
  CHECK_EQ(static_cast<int>(cudaDeviceSynchronize()), 0);
}

// The norm of one row of stored values, in float64.
void add_norm_error(const std::vector<double>& row,
                    const std::vector<float>& weight,
                    const uint16_t* found,
                    Error* error) {
  double sum = 0;
  for (const double value : row) sum += value * value;
  const double scale = 1 / std::sqrt(sum / static_cast<double>(row.size()) + 1e-5);
  for (size_t i = 0; i < row.size(); ++i) {
    error->add(wide(found[i]), row[i] * scale * static_cast<double>(weight[i]));
  }
}

TEST("residual and norm, for widths of one vector and of many, one row and hundreds") {
  FastRandom random(1);
  for (const uint32_t width : {8u, 64u, 384u, 576u, 2048u, 4096u, 8192u, 16384u, 65536u}) {
    for (const uint32_t rows : {1u, 3u, 200u}) {
      if (uint64_t{width} * rows > 4'000'000) continue;
      const std::vector<uint16_t> residual = bf16_values(&random, size_t{rows} * width);
      const std::vector<uint16_t> delta = bf16_values(&random, size_t{rows} * width);
      const std::vector<float> weight = weights_near_one(&random, width);
      const DeviceArray<uint16_t> stream(residual);
      const DeviceArray<uint16_t> added(delta);
      const DeviceArray<float> scale(weight);
      const DeviceArray<uint16_t> out(residual.size());
      NormArgs args;
      args.residual = stream.data();
      args.delta = added.data();
      args.weight = scale.data();
      args.out = out.data();
      args.rows = rows;
      args.width = width;
      args.epsilon = 1e-5f;
      CHECK(add_norm(args, nullptr).is_ok());
      wait_device();
      const std::vector<uint16_t> found_residual = stream.read();
      const std::vector<uint16_t> found = out.read();
      Error error;
      bool stored = true;
      for (uint32_t r = 0; r < rows; ++r) {
        std::vector<double> row(width);
        for (uint32_t i = 0; i < width; ++i) {
          const size_t at = size_t{r} * width + i;
          const uint16_t sum = f32_to_bf16(bf16_to_f32(residual[at]) + bf16_to_f32(delta[at]));
          stored = stored && found_residual[at] == sum;
          row[i] = wide(sum);
        }
        add_norm_error(row, weight, found.data() + size_t{r} * width, &error);
      }
      CHECK(stored);
      CHECK(error.relative() < kBound);
    }
  }
}

TEST("picked rows are normed, rows that are not wanted are zero, and the stream stays") {
  FastRandom random(2);
  constexpr uint32_t kWidth = 1024;
  const std::vector<uint16_t> residual = bf16_values(&random, 5 * kWidth);
  const std::vector<uint16_t> delta = bf16_values(&random, 5 * kWidth);
  const std::vector<float> weight = weights_near_one(&random, kWidth);
  const std::vector<int32_t> picked = {4, -1, 0, 4};
  const DeviceArray<uint16_t> stream(residual);
  const DeviceArray<uint16_t> added(delta);
  const DeviceArray<float> scale(weight);
  const DeviceArray<int32_t> rows(picked);
  const DeviceArray<uint16_t> out(picked.size() * kWidth);
  NormArgs args;
  args.residual = stream.data();
  args.delta = added.data();
  args.weight = scale.data();
  args.out = out.data();
  args.rows = static_cast<uint32_t>(picked.size());
  args.width = kWidth;
  args.epsilon = 1e-5f;
  CHECK(pick_norm(args, rows.data(), nullptr).is_ok());
  wait_device();
  CHECK(stream.read() == residual);
  const std::vector<uint16_t> found = out.read();
  Error error;
  for (size_t p = 0; p < picked.size(); ++p) {
    if (picked[p] < 0) {
      for (uint32_t i = 0; i < kWidth; ++i) CHECK_EQ(found[p * kWidth + i], uint16_t{0});
      continue;
    }
    std::vector<double> row(kWidth);
    for (uint32_t i = 0; i < kWidth; ++i) {
      const size_t at = static_cast<size_t>(picked[p]) * kWidth + i;
      row[i] = wide(f32_to_bf16(bf16_to_f32(residual[at]) + bf16_to_f32(delta[at])));
    }
    add_norm_error(row, weight, found.data() + p * kWidth, &error);
  }
  CHECK(error.relative() < kBound);
}

// A step's arrays on the device.
struct TestStep {
  explicit TestStep(const std::vector<int32_t>& tokens,
                    const std::vector<int32_t>& positions,
                    const std::vector<int32_t>& slots)
      : tokens_(tokens), positions_(positions), slots_(slots) {
    batch.rows = static_cast<uint32_t>(tokens.size());
    batch.row_token = tokens_.data();
    batch.row_position = positions_.data();
    batch.row_slot = slots_.data();
  }

  StepBatch batch;

 private:
  DeviceArray<int32_t> tokens_;
  DeviceArray<int32_t> positions_;
  DeviceArray<int32_t> slots_;
};

TEST("embedding takes given ids, the last drawn ones, and row 0 for padding") {
  FastRandom random(3);
  constexpr uint32_t kWidth = 64;
  const std::vector<uint16_t> table = bf16_values(&random, 10 * kWidth);
  const std::vector<float> weight = weights_near_one(&random, kWidth);
  const DeviceArray<uint16_t> embedding(table);
  const DeviceArray<float> scale(weight);
  const DeviceArray<int32_t> last(std::vector<int32_t>{7, 3});
  const TestStep step({5, -1, 2, 99}, {0, 4, 0, 0}, {0, 1, -1, 0});
  const std::vector<size_t> wanted = {5, 3, 0, 0};
  const DeviceArray<uint16_t> stream(wanted.size() * kWidth);
  const DeviceArray<uint16_t> out(wanted.size() * kWidth);
  NormArgs args;
  args.residual = stream.data();
  args.weight = scale.data();
  args.out = out.data();
  args.rows = step.batch.rows;
  args.width = kWidth;
  CHECK(embed_norm({embedding.data(), 10, last.data()}, step.batch, args, nullptr).is_ok());
  wait_device();
  const std::vector<uint16_t> found = stream.read();
  for (size_t r = 0; r < wanted.size(); ++r) {
    for (uint32_t i = 0; i < kWidth; ++i) {
      CHECK_EQ(found[r * kWidth + i], table[wanted[r] * kWidth + i]);
    }
  }
}

struct PlaceShape {
  uint32_t heads;
  uint32_t kv_heads;
  uint32_t head_dim;
  bool has_norm;
};

// One head in float64: normed, rotated.
std::vector<double> placed_head(const uint16_t* head,
                                const PlaceShape& shape,
                                const std::vector<float>* weight,
                                uint32_t position) {
  const uint32_t half = shape.head_dim / 2;
  std::vector<double> x(shape.head_dim);
  double sum = 0;
  for (uint32_t i = 0; i < shape.head_dim; ++i) {
    x[i] = wide(head[i]);
    sum += x[i] * x[i];
  }
  if (weight != nullptr) {
    const double scale = 1 / std::sqrt(sum / shape.head_dim + 1e-6);
    for (uint32_t i = 0; i < shape.head_dim; ++i) x[i] *= scale * static_cast<double>((*weight)[i]);
  }
  std::vector<double> out(shape.head_dim);
  for (uint32_t i = 0; i < half; ++i) {
    const float frequency = static_cast<float>(std::pow(10000.0, -2.0 * i / shape.head_dim));
    const double angle = static_cast<double>(static_cast<float>(position) * frequency);
    out[i] = x[i] * std::cos(angle) - x[half + i] * std::sin(angle);
    out[half + i] = x[half + i] * std::cos(angle) + x[i] * std::sin(angle);
  }
  return out;
}

struct PlaceRig {
  static constexpr uint32_t kBlocks = 8;
  static constexpr uint32_t kTableWidth = 4;
  static constexpr uint32_t kPositions = 60;

  explicit PlaceRig(const PlaceShape& placed)
      : shape(placed),
        width((placed.heads + 2 * placed.kv_heads) * placed.head_dim),
        step({1, 1, 1, 1}, {0, 17, 59, 3}, {0, 1, 1, -1}) {
    FastRandom random(4 + placed.head_dim);
    qkv = bf16_values(&random, 4 * size_t{width});
    query_norm = weights_near_one(&random, placed.head_dim);
    key_norm = weights_near_one(&random, placed.head_dim);
    const size_t pool = size_t{kBlocks} * placed.kv_heads * kBlockTokens * placed.head_dim;
    keys = DeviceArray<uint16_t>(pool);
    values = DeviceArray<uint16_t>(pool);
    rows = DeviceArray<uint16_t>(qkv);
  }

  Status run() {
    const uint32_t half = shape.head_dim / 2;
    std::vector<float> frequencies(half);
    for (uint32_t i = 0; i < half; ++i) {
      frequencies[i] = static_cast<float>(std::pow(10000.0, -2.0 * i / shape.head_dim));
    }
    const DeviceArray<float> on_device(frequencies);
    const DeviceArray<float> table(size_t{kPositions} * shape.head_dim);
    const DeviceArray<int32_t> tables(block_tables);
    const DeviceArray<float> query_weight(query_norm);
    const DeviceArray<float> key_weight(key_norm);
    SLUICE_RETURN_IF_ERROR(
        fill_rope_table({on_device.data(), table.data(), half, kPositions}, nullptr));
    PlaceArgs args;
    args.qkv = rows.data();
    args.keys = keys.data();
    args.values = values.data();
    args.rope = table.data();
    args.query_norm = shape.has_norm ? query_weight.data() : nullptr;
    args.key_norm = shape.has_norm ? key_weight.data() : nullptr;
    args.heads = shape.heads;
    args.kv_heads = shape.kv_heads;
    args.head_dim = shape.head_dim;
    args.epsilon = 1e-6f;
    step.batch.block_tables = tables.data();
    step.batch.blocks_per_sequence_max = kTableWidth;
    SLUICE_RETURN_IF_ERROR(place(args, step.batch, nullptr));
    return wait_for(nullptr);
  }

  const PlaceShape shape;
  const uint32_t width;
  TestStep step;
  std::vector<int32_t> block_tables = {6, 0, 0, 0, 2, 5, 0, 7};
  std::vector<uint16_t> qkv;
  std::vector<float> query_norm;
  std::vector<float> key_norm;
  DeviceArray<uint16_t> rows;
  DeviceArray<uint16_t> keys;
  DeviceArray<uint16_t> values;
};

void expect_placed(PlaceRig* rig) {
  const PlaceShape& shape = rig->shape;
  CHECK(rig->run().is_ok());
  const std::vector<uint16_t> rows = rig->rows.read();
  const std::vector<uint16_t> keys = rig->keys.read();
  const std::vector<uint16_t> values = rig->values.read();
  const uint32_t positions[] = {0, 17, 59};
  const uint32_t blocks[] = {6, 5, 7};
  Error error;
  size_t written = 0;
  for (uint32_t row = 0; row < 3; ++row) {
    const uint16_t* from = rig->qkv.data() + size_t{row} * rig->width;
    for (uint32_t head = 0; head < shape.heads + shape.kv_heads; ++head) {
      const bool is_query = head < shape.heads;
      const auto* weight = is_query ? &rig->query_norm : &rig->key_norm;
      const std::vector<double> wanted = placed_head(
          from + head * shape.head_dim, shape, shape.has_norm ? weight : nullptr, positions[row]);
      const uint32_t kv = head - shape.heads;
      const uint64_t part = kv_part_begin(blocks[row], kv, shape.kv_heads, shape.head_dim);
      const uint32_t token = positions[row] % kBlockTokens;
      for (uint32_t i = 0; i < shape.head_dim; ++i) {
        const uint16_t found = is_query ? rows[size_t{row} * rig->width + head * shape.head_dim + i]
                                        : keys[part + kv_part_offset(token, i, shape.head_dim)];
        error.add(wide(found), wanted[i]);
      }
    }
    for (uint32_t kv = 0; kv < shape.kv_heads; ++kv) {
      const uint16_t* value = from + (shape.heads + shape.kv_heads + kv) * shape.head_dim;
      const uint64_t part = kv_part_begin(blocks[row], kv, shape.kv_heads, shape.head_dim);
      for (uint32_t i = 0; i < shape.head_dim; ++i, ++written) {
        const uint32_t at = kv_part_offset(positions[row] % kBlockTokens, i, shape.head_dim);
        CHECK_EQ(values[part + at], value[i]);
      }
    }
  }
  CHECK(error.relative() < kBound);
  // Nothing else was touched: the padded row's place is poison still.
  size_t touched = 0;
  for (const uint16_t value : values) touched += value != kPoison ? 1 : 0;
  CHECK_EQ(touched, written);
}

TEST("queries, keys and values are normed, rotated and placed, and padding writes nothing") {
  for (const PlaceShape& shape : {PlaceShape{4, 2, 64, false},
                                  PlaceShape{3, 1, 80, false},
                                  PlaceShape{6, 2, 96, true},
                                  PlaceShape{32, 8, 128, false},
                                  PlaceShape{5, 5, 128, true},
                                  PlaceShape{2, 1, 256, true},
                                  PlaceShape{4, 4, 8, false}}) {
    PlaceRig rig(shape);
    expect_placed(&rig);
  }
}

TEST("tables take as many changes as are counted") {
  const DeviceArray<int32_t> tables(std::vector<int32_t>(16, -9));
  const DeviceArray<uint32_t> count(std::vector<uint32_t>{2});
  const DeviceArray<TableChange> changes(std::vector<TableChange>{{3, 30}, {15, 31}, {4, 32}});
  CHECK(change_tables({tables.data(), count.data(), changes.data(), 3}, nullptr).is_ok());
  wait_device();
  const std::vector<int32_t> found = tables.read();
  for (size_t i = 0; i < found.size(); ++i) CHECK_EQ(found[i], i == 3 ? 30 : i == 15 ? 31 : -9);
}

TEST("a KV block goes to pinned memory and back to another place, bit for bit") {
  constexpr uint64_t kPart = 2048;
  constexpr uint32_t kPools = 6;
  constexpr uint32_t kBlocks = 5;
  FastRandom random(5);
  std::vector<uint8_t> bytes(kPools * kBlocks * kPart);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next() >> 30);
  const DeviceArray<uint8_t> pools(bytes);
  std::vector<uint8_t> host(kPools * kPart);
  void* address = nullptr;
  REQUIRE(pin_host(host.data(), host.size(), &address).is_ok());
  SwapArgs args;
  args.pools = pools.data();
  args.pool_count = kPools;
  args.pool_bytes = kBlocks * kPart;
  args.part_bytes = kPart;
  args.block = 1;
  args.host = static_cast<uint8_t*>(address);
  CHECK(save_kv_block(args, nullptr).is_ok());
  args.block = 4;
  CHECK(load_kv_block(args, nullptr).is_ok());
  wait_device();
  const std::vector<uint8_t> found = pools.read();
  for (uint32_t pool = 0; pool < kPools; ++pool) {
    for (uint32_t block = 0; block < kBlocks; ++block) {
      const size_t from = pool * kBlocks * kPart + (block == 4 ? 1 : block) * kPart;
      const size_t at = pool * kBlocks * kPart + block * kPart;
      CHECK(std::equal(found.begin() + static_cast<long>(at),
                       found.begin() + static_cast<long>(at + kPart),
                       bytes.begin() + static_cast<long>(from)));
    }
  }
  unpin_host(host.data());
}

}  // namespace
}  // namespace sluice
