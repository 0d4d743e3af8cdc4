// Attention over a paged cache against float64 over a plain one, and bit for bit against itself:
// paged anyhow, cut anyhow, on every instruction set.
#include "kernels/attention.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "check.h"
#include "kernels/kernels.h"
#include "random.h"

namespace sluice {
namespace {

using check::RandomSource;

constexpr Isa kIsas[] = {Isa::kScalar, Isa::kAvx2};

struct Scene {
  uint32_t head_dim;
  uint32_t group;
  uint32_t context;           // tokens, all of which are in the cache
  std::vector<float> q;       // [context, group, head_dim]
  std::vector<float> keys;    // [context, head_dim]
  std::vector<float> values;  // [context, head_dim]
};

Scene make_scene(uint32_t head_dim, uint32_t group, uint32_t context, RandomSource* random) {
  Scene scene{head_dim, group, context, {}, {}, {}};
  scene.q = random->normals(size_t{context} * group * head_dim, 3);
  scene.keys = random->normals(size_t{context} * head_dim);
  scene.values = random->normals(size_t{context} * head_dim);
  return scene;
}

// The scene's cache in blocks that stand in a shuffled order, with rubbish wherever nothing was
// written.
struct Paged {
  std::vector<float> blocks;
  std::vector<uint32_t> table;
  size_t block_stride;
};

Paged make_paged(const Scene& scene, uint32_t salt) {
  const uint32_t count = (scene.context + kBlockTokens - 1) / kBlockTokens;
  const uint32_t total = count + 3;
  Paged paged;
  paged.block_stride = size_t{2} * kBlockTokens * scene.head_dim + 16 * salt;
  paged.blocks.assign(total * paged.block_stride, std::numeric_limits<float>::quiet_NaN());
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t block = (i * 7 + salt) % total;
    while (std::find(paged.table.begin(), paged.table.end(), block) != paged.table.end()) {
      block = (block + 1) % total;
    }
    paged.table.push_back(block);
  }
  for (uint32_t position = 0; position < scene.context; ++position) {
    float* keys = &paged.blocks[paged.table[position / kBlockTokens] * paged.block_stride];
    float* values = keys + size_t{scene.head_dim} * kBlockTokens;
    const uint32_t slot = position % kBlockTokens;
    for (uint32_t d = 0; d < scene.head_dim; ++d) {
      keys[size_t{d} * kBlockTokens + slot] = scene.keys[size_t{position} * scene.head_dim + d];
      values[size_t{slot} * scene.head_dim + d] =
          scene.values[size_t{position} * scene.head_dim + d];
    }
  }
  return paged;
}

// Outputs of all tokens from `begin` on, `tokens_at_once` in a call.
std::vector<float> attend(Isa isa, const Scene& scene, const Paged& paged, WorkRange calls) {
  const uint32_t begin = calls.begin;
  const uint32_t tokens_at_once = calls.end;
  const size_t stride = size_t{scene.group} * scene.head_dim;
  std::vector<float> out((scene.context - begin) * stride, 777);
  std::vector<float> scratch(kAttentionScratch, std::numeric_limits<float>::quiet_NaN());
  for (uint32_t token = begin; token < scene.context; token += tokens_at_once) {
    AttentionArgs args;
    args.q = &scene.q[token * stride];
    args.q_stride = stride;
    args.out = &out[(token - begin) * stride];
    args.out_stride = stride;
    args.blocks = paged.blocks.data();
    args.block_stride = paged.block_stride;
    args.block_table = paged.table.data();
    args.position = token;
    args.tokens = std::min(tokens_at_once, scene.context - token);
    args.group = scene.group;
    args.head_dim = scene.head_dim;
    kernels_for(isa).attention(args, scratch.data());
  }
  return out;
}

void check_against_float64(const Scene& scene, const std::vector<float>& out, uint32_t begin) {
  const uint32_t dim = scene.head_dim;
  double error = 0;
  double norm = 0;
  for (uint32_t token = begin; token < scene.context; ++token) {
    for (uint32_t head = 0; head < scene.group; ++head) {
      const size_t at = (size_t{token} * scene.group + head) * dim;
      std::vector<double> weights(token + 1);
      double total = 0;
      for (uint32_t i = 0; i <= token; ++i) {
        double score = 0;
        for (uint32_t d = 0; d < dim; ++d) {
          score += static_cast<double>(scene.q[at + d]) *
                   static_cast<double>(scene.keys[size_t{i} * dim + d]);
        }
        weights[i] = std::exp(score / std::sqrt(static_cast<double>(dim)));
        total += weights[i];
      }
      for (uint32_t d = 0; d < dim; ++d) {
        double sum = 0;
        for (uint32_t i = 0; i <= token; ++i) {
          sum += weights[i] / total * static_cast<double>(scene.values[size_t{i} * dim + d]);
        }
        const size_t found = at - size_t{begin} * scene.group * dim + d;
        const double off = static_cast<double>(out[found]) - sum;
        error += off * off;
        norm += sum * sum;
      }
    }
  }
  CHECK(std::sqrt(error) <= 1e-5 * std::sqrt(norm));
}

struct Shape {
  uint32_t head_dim;
  uint32_t group;
  uint32_t context;
};

constexpr Shape kShapes[] = {{8, 2, 40},
                             {64, 3, 300},
                             {64, 1, 17},
                             {80, 5, 70},
                             {96, 16, 33},
                             {128, 4, 258},
                             {256, 2, 20},
                             {16, 7, 600},
                             {40, 12, 256},
                             {64, 9, 257}};

TEST("attention agrees with float64 wherever its blocks lie") {
  RandomSource random(21);
  for (const Shape& shape : kShapes) {
    const Scene scene = make_scene(shape.head_dim, shape.group, shape.context, &random);
    const Paged paged = make_paged(scene, 1);
    for (const Isa isa : kIsas) {
      if (!has_isa(isa)) continue;
      check_against_float64(scene, attend(isa, scene, paged, {0, 64 / shape.group}), 0);
    }
  }
}

TEST("a token's attention has the same bits however its prompt is cut and its blocks lie") {
  RandomSource random(22);
  const Isa isa = has_isa(Isa::kAvx2) ? Isa::kAvx2 : Isa::kScalar;
  for (const Shape& shape : kShapes) {
    const Scene scene = make_scene(shape.head_dim, shape.group, shape.context, &random);
    const std::vector<float> whole = attend(isa, scene, make_paged(scene, 1), {0, 1});
    for (const uint32_t tokens : {2u, 3u, 4u, 7u, 16u}) {
      if (tokens * shape.group > kAttentionRowsMax) continue;
      const uint32_t begin = random.below(shape.context);
      const std::vector<float> cut = attend(isa, scene, make_paged(scene, tokens), {begin, tokens});
      const size_t at = size_t{begin} * shape.group * shape.head_dim;
      CHECK(std::memcmp(cut.data(), &whole[at], cut.size() * sizeof(float)) == 0);
    }
  }
}

TEST("the instruction sets agree to the bit on attention") {
  if (!has_isa(Isa::kAvx2)) SKIP("this processor has no AVX2");
  RandomSource random(23);
  for (const Shape& shape : kShapes) {
    const Scene scene = make_scene(shape.head_dim, shape.group, shape.context, &random);
    const Paged paged = make_paged(scene, 2);
    const std::vector<float> plain = attend(Isa::kScalar, scene, paged, {0, 4});
    const std::vector<float> fast = attend(Isa::kAvx2, scene, paged, {0, 4});
    CHECK(std::memcmp(plain.data(), fast.data(), plain.size() * sizeof(float)) == 0);
  }
}

TEST("one score far above the rest takes all the weight") {
  RandomSource random(24);
  Scene scene = make_scene(64, 1, 300, &random);
  for (uint32_t d = 0; d < 64; ++d) {
    scene.keys[size_t{10} * 64 + d] = scene.q[size_t{299} * 64 + d] * 100;
  }
  for (const Isa isa : kIsas) {
    if (!has_isa(isa)) continue;
    const std::vector<float> out = attend(isa, scene, make_paged(scene, 1), {299, 1});
    for (uint32_t d = 0; d < 64; ++d) {
      CHECK_NEAR(out[d], scene.values[size_t{10} * 64 + d], 1e-6);
    }
  }
}

}  // namespace
}  // namespace sluice
