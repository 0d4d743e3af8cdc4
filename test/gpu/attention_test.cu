// Attention against float64 over contiguous keys and values: every head size and group, contexts at
// the edges of blocks, tiles and pieces; and what is promised to the bit: the same row alone, in a
// crowd, cut or whole, as decode or prefill, in any chunking, in a graph.
#include "attention_rig.h"
#include "kernels/cuda/place.h"

namespace sluice {
namespace {

using check::Attended;
using check::AttentionRig;
using check::KvWorld;
using check::make_queries;
using check::make_step;
using check::make_world;
using check::Queries;
using check::Stretch;
using check::TestStep;

constexpr double kErrorMax = 4e-3;
constexpr uint16_t kPoison = 0xFFFF;

std::string describe(const PagedAttentionShape& shape) {
  return std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads) + " heads of " +
         std::to_string(shape.head_dim);
}

struct Case {
  std::vector<Stretch> stretches;
  uint32_t decode_sequences = 0;
  float query_scale = 1;
  uint64_t seed = 0;
};

struct Outcome {
  Attended got;
  std::vector<double> want;
};

// A row's error norm over its result's norm; untouched places must be poison still.
double row_error(const KvWorld& world, const Outcome& outcome, size_t row, bool is_padding) {
  double error = 0;
  double norm = is_padding ? 1 : 0;
  for (uint32_t i = 0; i < outcome.got.stride; ++i) {
    const uint16_t bits = outcome.got.out[row * outcome.got.stride + i];
    if (is_padding || i >= world.width()) {
      if (bits != kPoison) return INFINITY;
      continue;
    }
    const double value = outcome.want[row * world.width() + i];
    const double difference = static_cast<double>(bf16_to_f32(bits)) - value;
    error += difference * difference;
    norm += value * value;
  }
  return std::sqrt(error / norm);
}

void expect_right(const KvWorld& world, const Case& one) {
  const TestStep step = make_step(world, one.stretches, one.decode_sequences);
  const Queries q = make_queries(world, step.batch.rows, one.query_scale, one.seed);
  uint64_t tokens = 0;
  for (const Stretch& stretch : one.stretches) tokens += stretch.context + stretch.query;
  AttentionRig rig(world, std::max(one.decode_sequences, 1u), tokens);
  const Outcome outcome = {rig.run(step, q), check::reference_rows(world, step, q)};
  double worst = 0;
  size_t row = 0;
  for (const Stretch& stretch : one.stretches) {
    for (uint32_t t = 0; t < stretch.query; ++t) {
      const double error = row_error(world, outcome, row++, stretch.slot < 0);
      worst = error <= worst ? worst : error;  // NaN stays
    }
  }
  CHECK_EQ(row, step.batch.rows);
  if (worst < kErrorMax) return;
  check::fail(__FILE__, __LINE__, describe(world.shape) + ": error " + std::to_string(worst));
}

constexpr PagedAttentionShape kShapes[] = {
    {32, 8, 128},
    {32, 4, 64},
    {28, 4, 128},
    {14, 2, 64},
    {9, 3, 64},
    {16, 8, 128},
    {8, 8, 80},
    {12, 4, 96},
    {8, 1, 256},
    {16, 1, 128},
    {5, 1, 64},
    {6, 2, 256},
    {40, 8, 128},
    {13, 1, 96},
};
constexpr PagedAttentionShape kPlainShapes[] = {
    {8, 4, 8}, {8, 4, 16}, {4, 2, 32}, {32, 1, 64}, {6, 3, 48}, {2, 1, 232}};

// Around the edges of blocks (16), tiles (64) and pieces (256).
const std::vector<uint32_t> kContexts = {1,   2,   7,   15,  16,  17,  31,  63,  64,
                                         65,  127, 128, 129, 191, 193, 255, 256, 257,
                                         300, 511, 512, 513, 767, 769, 999};
const std::vector<uint32_t> kLongContexts = {1024, 1025, 1535, 2047, 2049, 3000, 5000};

void decode_case(const PagedAttentionShape& shape,
                 const std::vector<uint32_t>& contexts,
                 float query_scale,
                 uint64_t seed) {
  const KvWorld world = make_world(shape, contexts, seed);
  std::vector<Stretch> stretches;
  for (size_t slot = 0; slot < contexts.size(); ++slot) {
    stretches.push_back({static_cast<int32_t>(slot), contexts[slot] - 1, 1});
    if (slot % 7 == 3) stretches.push_back({-1, 0, 1});
  }
  const auto count = static_cast<uint32_t>(stretches.size());
  expect_right(world, {stretches, count, query_scale, seed + 1});
}

TEST("attention: decode rows of every shape and length") {
  uint64_t seed = 1;
  for (const PagedAttentionShape& shape : kShapes) decode_case(shape, kContexts, 1, seed += 10);
  for (const PagedAttentionShape& shape : kPlainShapes) {
    decode_case(shape, kContexts, 1, seed += 10);
  }
  for (const PagedAttentionShape& shape : {kShapes[0], kShapes[1]}) {
    decode_case(shape, kLongContexts, 1, seed += 10);
  }
}

TEST("attention: scores that differ by hundreds, and by nothing") {
  decode_case({32, 8, 128}, kContexts, 40, 7);
  decode_case({32, 4, 64}, kContexts, 40, 8);
  decode_case({32, 8, 128}, kContexts, 1e-4f, 9);
}

void prefill_case(const PagedAttentionShape& shape, uint64_t seed) {
  const std::vector<Stretch> stretches = {{0, 40, 1},
                                          {-1, 0, 1},
                                          {1, 700, 1},
                                          {2, 0, 2},
                                          {3, 0, 33},
                                          {4, 1, 127},
                                          {5, 15, 64},
                                          {6, 16, 65},
                                          {7, 17, 300},
                                          {8, 255, 2},
                                          {9, 256, 31},
                                          {10, 257, 129},
                                          {11, 300, 7},
                                          {12, 0, 256},
                                          {13, 0, 257},
                                          {14, 1000, 100}};
  std::vector<uint32_t> lengths(15, 1);
  for (const Stretch& stretch : stretches) {
    if (stretch.slot >= 0) {
      lengths[static_cast<size_t>(stretch.slot)] = stretch.context + stretch.query;
    }
  }
  expect_right(make_world(shape, lengths, seed), {stretches, 3, 1.0f, seed + 1});
}

TEST("attention: prefill rows of every shape, decode rows beside them") {
  uint64_t seed = 1000;
  for (const PagedAttentionShape& shape : kShapes) prefill_case(shape, seed += 10);
  for (const PagedAttentionShape& shape : kPlainShapes) prefill_case(shape, seed += 10);
}

// Rows of the whole sequence, in stretches of `chunk` tokens that each are a step of their own.
std::vector<uint16_t> in_chunks(const KvWorld& world, const Queries& q, uint32_t chunk) {
  const uint32_t length = world.lengths[0];
  AttentionRig rig(world, 1, 1);
  std::vector<uint16_t> all;
  for (uint32_t begin = 0; begin < length; begin += chunk) {
    const TestStep step = make_step(world, {{0, begin, std::min(chunk, length - begin)}}, 0);
    const Attended got = rig.run(step, q, begin);
    all.insert(all.end(), got.out.begin(), got.out.end());
  }
  return all;
}

// Every position of the sequence as a decode row, `together` at a time.
std::vector<uint16_t> as_decode(const KvWorld& world,
                                const Queries& q,
                                uint32_t together,
                                uint64_t scratch_tokens) {
  AttentionRig rig(world, together, scratch_tokens);
  std::vector<uint16_t> all;
  for (uint32_t begin = 0; begin < world.lengths[0]; begin += together) {
    std::vector<Stretch> rows;
    for (uint32_t p = begin; p < std::min(begin + together, world.lengths[0]); ++p) {
      rows.push_back({0, p, 1});
    }
    const TestStep step = make_step(world, rows, static_cast<uint32_t>(rows.size()));
    const Attended got = rig.run(step, q, begin);
    all.insert(all.end(), got.out.begin(), got.out.end());
  }
  return all;
}

void expect_same(const std::vector<uint16_t>& a, const std::vector<uint16_t>& b, const char* what) {
  CHECK_EQ(a.size(), b.size());
  size_t different = 0;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) different += a[i] != b[i] ? 1 : 0;
  if (different == 0) return;
  check::fail(__FILE__, __LINE__, std::string(what) + ": " + std::to_string(different) + " differ");
}

TEST("attention: a row has the same bits in every company") {
  uint64_t seed = 2000;
  for (const PagedAttentionShape& shape : kShapes) {
    const KvWorld world = make_world(shape, {1100}, seed += 10);
    const Queries q = make_queries(world, 1100, 1.0f, seed + 1);
    const std::vector<uint16_t> whole = in_chunks(world, q, 1100);
    expect_same(whole, in_chunks(world, q, 64), "chunks of 64");
    expect_same(whole, in_chunks(world, q, 500), "chunks of 500");
    expect_same(whole, as_decode(world, q, 1000, 1u << 21), "decode in a crowd");
    expect_same(whole, as_decode(world, q, 37, 1u << 21), "decode, cut into pieces");
    expect_same(whole, as_decode(world, q, 37, 0), "decode without scratch for pieces");
  }
}

TEST("attention: one decode row alone, and the same in a crowd") {
  const KvWorld world = make_world({32, 8, 128}, kContexts, 77);
  std::vector<Stretch> rows;
  for (size_t i = 0; i < kContexts.size(); ++i) {
    rows.push_back({static_cast<int32_t>(i), kContexts[i] - 1, 1});
  }
  const auto count = static_cast<uint32_t>(rows.size());
  const Queries q = make_queries(world, count, 1.0f, 78);
  AttentionRig rig(world, count, 1u << 20);
  const Attended crowd = rig.run(make_step(world, rows, count), q);
  std::vector<uint16_t> alone;
  for (uint32_t i = 0; i < count; ++i) {
    const Attended one = rig.run(make_step(world, {rows[i]}, 1), q, i);
    alone.insert(alone.end(), one.out.begin(), one.out.end());
  }
  expect_same(crowd.out, alone, "alone");
}

TEST("attention: a graph follows its contexts") {
  const KvWorld world = make_world({32, 8, 128}, {900, 2500, 300}, 88);
  const Queries q = make_queries(world, 4, 1.0f, 89);
  AttentionRig rig(world, 4, 1u << 16);
  const auto rows_at = [](uint32_t shift) {
    return std::vector<Stretch>{{0, 5 + shift, 1}, {1, 1600 + shift, 1}, {2, shift, 1}, {-1, 0, 1}};
  };
  TestStep step = make_step(world, rows_at(0), 4);
  const check::DeviceArray<uint16_t> out(size_t{4} * rig.out_stride());
  cudaDeviceSynchronize();
  rig.launch(step, q.values.data(), q.stride, out.data());
  rig.wait();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CHECK_EQ(cudaStreamBeginCapture(rig.stream(), cudaStreamCaptureModeThreadLocal), cudaSuccess);
  rig.launch(step, q.values.data(), q.stride, out.data());
  CHECK_EQ(cudaStreamEndCapture(rig.stream(), &graph), cudaSuccess);
  REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  for (const uint32_t shift : {0u, 1u, 250u, 299u}) {
    const TestStep now = make_step(world, rows_at(shift), 4);
    const Attended eager = rig.run(now, q);
    const std::vector<int32_t> contexts = now.contexts.read();
    cudaMemcpy(step.contexts.data(), contexts.data(), 16, cudaMemcpyHostToDevice);
    cudaMemset(out.data(), 0xFF, out.size() * 2);
    cudaDeviceSynchronize();
    CHECK_EQ(cudaGraphLaunch(executable, rig.stream()), cudaSuccess);
    rig.wait();
    expect_same(eager.out, out.read(), "graph");
  }
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
}

struct Placed {
  std::vector<uint16_t> out;
  std::vector<uint16_t> keys;
  std::vector<uint16_t> values;
};

// Places all rows of a decode step and attends them, in two kernels or in one.
Placed run_placed(const KvWorld& world, const TestStep& step, bool has_norms, bool is_one) {
  const PagedAttentionShape& shape = world.shape;
  check::FastRandom random(99);
  const Queries qkv = make_queries(world, step.batch.rows, 1.0f, 98);
  const auto floats = [&](size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = random.value();
    return check::DeviceArray<float>(values);
  };
  const check::DeviceArray<float> rope = floats(size_t{1100} * shape.head_dim);
  const check::DeviceArray<float> norms = floats(size_t{2} * shape.head_dim);
  const check::DeviceArray<uint16_t> keys(world.key_pool.read());
  const check::DeviceArray<uint16_t> values(world.value_pool.read());
  const uint32_t out_stride = world.width();
  const check::DeviceArray<uint16_t> out(size_t{step.batch.rows} * out_stride);
  const size_t bytes = attention_scratch_bytes(shape, step.batch.rows, 1u << 16);
  const check::DeviceArray<uint8_t> scratch(bytes);
  cudaMemset(scratch.data(), 0, bytes);
  PlaceArgs place_args;
  place_args.qkv = qkv.values.data();
  place_args.keys = keys.data();
  place_args.values = values.data();
  place_args.rope = rope.data();
  place_args.query_norm = has_norms ? norms.data() : nullptr;
  place_args.key_norm = has_norms ? norms.data() + shape.head_dim : nullptr;
  place_args.heads = shape.heads;
  place_args.kv_heads = shape.kv_heads;
  place_args.head_dim = shape.head_dim;
  place_args.epsilon = 1e-5f;
  PagedAttentionArgs args;
  args.shape = shape;
  args.q = qkv.values.data();
  args.q_stride = qkv.stride;
  args.out = out.data();
  args.out_stride = out_stride;
  args.keys = keys.data();
  args.values = values.data();
  args.scratch = {scratch.data(), bytes, step.batch.rows};
  if (is_one) args.place = place_args;
  cudaDeviceSynchronize();
  AttentionRig::require(prepare_attention(shape));
  AttentionRig::require(plan_attention(step.batch, shape, args.scratch, nullptr));
  if (!is_one) AttentionRig::require(place(place_args, step.batch, nullptr));
  AttentionRig::require(attend(args, step.batch, nullptr));
  CHECK_EQ(cudaDeviceSynchronize(), cudaSuccess);
  return {out.read(), keys.read(), values.read()};
}

void expect_placed(const PagedAttentionShape& shape, uint32_t rows_max) {
  const std::vector<uint32_t> lengths = {
      1, 2, 16, 17, 64, 65, 250, 256, 257, 320, 511, 512, 513, 700, 1030};
  const KvWorld world = make_world(shape, lengths, 123);
  std::vector<Stretch> rows = {{-1, 0, 1}};
  for (uint32_t i = 0; i < std::min(rows_max, static_cast<uint32_t>(lengths.size())); ++i) {
    const uint32_t slot = static_cast<uint32_t>(lengths.size()) - 1 - i;
    rows.push_back({static_cast<int32_t>(slot), lengths[slot] - 1, 1});
  }
  const TestStep step = make_step(world, rows, static_cast<uint32_t>(rows.size()));
  for (const bool has_norms : {false, true}) {
    const Placed two = run_placed(world, step, has_norms, false);
    const Placed one = run_placed(world, step, has_norms, true);
    expect_same(two.out, one.out, "attended");
    expect_same(two.keys, one.keys, "keys");
    expect_same(two.values, one.values, "values");
  }
}

TEST("attention: decode rows that place themselves") {
  for (const PagedAttentionShape& shape : kShapes) {
    expect_placed(shape, 15);
    expect_placed(shape, 2);
  }
}

// Small enough for a memory checker.
// racecheck reports the bulk copies of the ring (UBLKCP) against the reads of what they brought
// (LDSM): it does not follow the barriers in shared memory that order them, `full` by the bytes
// that have landed, `empty` by the arrival of each reading warp. memcheck and initcheck have no
// such gap.
TEST("attention small: rows that place themselves") {
  expect_placed({8, 2, 128}, 15);
}

TEST("attention small: one of each kernel") {
  for (const PagedAttentionShape& shape : {PagedAttentionShape{8, 2, 128},
                                           PagedAttentionShape{4, 2, 80},
                                           PagedAttentionShape{2, 1, 256},
                                           PagedAttentionShape{8, 4, 8}}) {
    const KvWorld world = make_world(shape, {700, 41, 90}, 3);
    expect_right(world, {{{0, 650, 1}, {-1, 0, 1}, {1, 40, 1}, {2, 17, 70}}, 3, 1.0f, 4});
  }
}

}  // namespace
}  // namespace sluice
