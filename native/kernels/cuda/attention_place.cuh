// Decode attention that places its own rows: what place() does between the q|k|v GEMM and
// attention, by one warp of the decode kernel, an item ahead of those that compute. Rotated queries
// go to the query ring, and with them, for the piece that ends with the row's own token, its key
// and value: they also go to the cache, but this kernel takes them from here, because the copy of
// their block may come before.
#pragma once

#include "kernels/cuda/attention_decode.cuh"
#include "kernels/cuda/place.cuh"

namespace sluice::decode {

// Heads whose loads are under way together.
template <uint32_t kDim>
inline constexpr uint32_t kHeadsAtOnce = kDim > 64 ? 4 : 8;

template <uint32_t kDim>
class Placer {
 public:
  __device__ __forceinline__ Placer(const DecodeParameters& p, const CopyRing& ring)
      : p_(p), args_(p.args.place), ring_(ring) {}

  // Called by a whole warp, once an item, in the items' order.
  __device__ __forceinline__ void place(const Item& item) {
    const uint32_t group = args_.heads / args_.kv_heads;
    const uint32_t position = item.tokens() - 1;
    const uint16_t* row = args_.qkv + uint64_t{item.row_index} * (heads() * kDim);
    const uint16_t* query = row + item.kv_head * group * kDim;
    const HeadAngles angles = load_angles(args_.rope + uint64_t{position} * kDim, kHalf);
    ring_.wait_empty(place_);
    const uint32_t buffer = ring_.at(place_);
    for (uint32_t first = 0; first < group; first += kHeadsAtOnce<kDim>) {
      HeadValues values[kHeadsAtOnce<kDim>];
#pragma unroll
      for (uint32_t i = 0; i < kHeadsAtOnce<kDim>; ++i) {
        if (first + i < group) values[i] = load_head(query + (first + i) * kDim, kHalf);
      }
#pragma unroll
      for (uint32_t i = 0; i < kHeadsAtOnce<kDim>; ++i) {
        if (first + i >= group) continue;
        turn(&values[i], args_.query_norm, angles);
        store_row(values[i], buffer + (first + i) * kQueryStride<kDim>);
      }
    }
    if (item.piece_end * kKvPieceTokens >= item.tokens()) place_own(item, row, angles, buffer);
    __syncwarp();
    if (full_arrivals() > 1 || threadIdx.x % 32 == 0) barrier_arrive(ring_.full_of(place_));
    place_.advance(kQueryBuffers);
  }

 private:
  static constexpr uint32_t kHalf = kDim / 2;

  __device__ __forceinline__ uint32_t heads() const {
    return args_.heads + 2 * args_.kv_heads;
  }

  __device__ __forceinline__ void turn(HeadValues* values,
                                       const float* norm,
                                       const HeadAngles& angles) const {
    if (norm != nullptr) normalise_head(values, norm, kHalf, args_.epsilon);
    rotate_head(values, angles);
  }

  __device__ __forceinline__ void store_row(const HeadValues& values, uint32_t to) const {
    store_head(values, kHalf, [&](uint32_t i, uint32_t two) {
      asm volatile("st.shared.u32 [%0], %1;\n" ::"r"(to + i * 2), "r"(two) : "memory");
    });
  }

  // The row's own key and value, to the ring and to the cache.
  __device__ __forceinline__ void place_own(const Item& item,
                                            const uint16_t* row,
                                            const HeadAngles& angles,
                                            uint32_t buffer) const {
    const uint32_t position = item.tokens() - 1;
    const uint16_t* own = row + (args_.heads + item.kv_head) * kDim;
    HeadValues key = load_head(own, kHalf);
    const HeadValues value = load_head(own + args_.kv_heads * kDim, kHalf);
    const auto slot = static_cast<uint64_t>(item.row.slot);
    const int32_t* table = p_.block_tables + slot * p_.blocks_per_sequence_max;
    const auto block = static_cast<uint32_t>(table[position / kBlockTokens]);
    turn(&key, args_.key_norm, angles);
    store_row(key, buffer + kOwnKeyRow * kQueryStride<kDim>);
    store_row(value, buffer + kOwnValueRow * kQueryStride<kDim>);
    const uint64_t part = kv_part_begin(block, item.kv_head, args_.kv_heads, kDim);
    const auto store = [&](uint16_t* pool, const HeadValues& values) {
      store_head(values, kHalf, [&](uint32_t i, uint32_t two) {
        const uint32_t offset = kv_part_offset(position % kBlockTokens, i, kDim);
        *reinterpret_cast<uint32_t*>(pool + part + offset) = two;
      });
    };
    store(args_.keys, key);
    store(args_.values, value);
  }

  const DecodeParameters& p_;
  const PlaceArgs& args_;
  const CopyRing& ring_;
  RingPlace place_;
};

}  // namespace sluice::decode
