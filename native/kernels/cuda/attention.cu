// Which kernel attends a step's rows. Shapes without tensor core kernels (small heads of tests,
// groups of more than 16 heads) take the plain one, for decode and prefill alike.
#include "kernels/cuda/attention_parts.cuh"
#include "kernels/cuda/kv_layout.cuh"
#include "kernels/cuda/launch.cuh"

namespace sluice {
namespace {

AttentionDevice read_device() {
  const auto ask = [](cudaDeviceAttr attribute) {
    int device = 0;
    int value = 0;
    if (cudaGetDevice(&device) != cudaSuccess) return 0u;
    if (cudaDeviceGetAttribute(&value, attribute, device) != cudaSuccess) return 0u;
    return static_cast<uint32_t>(value);
  };
  return {ask(cudaDevAttrMultiProcessorCount),
          ask(cudaDevAttrMaxSharedMemoryPerMultiprocessor),
          ask(cudaDevAttrMaxSharedMemoryPerBlockOptin)};
}

}  // namespace

const AttentionDevice& attention_device() {
  static const AttentionDevice device = read_device();
  return device;
}

Status prepare_attention(const PagedAttentionShape& shape) {
  if (shape.kv_heads == 0 || shape.heads % shape.kv_heads != 0 || shape.head_dim == 0 ||
      shape.head_dim % kKvChunk != 0 || shape.head_dim > kPlainHeadDimMax) {
    return {StatusCode::kUnsupported,
            "attention: " + std::to_string(shape.heads) + " heads, " +
                std::to_string(shape.kv_heads) + " KV heads of " + std::to_string(shape.head_dim)};
  }
  if (!is_fast(shape)) return Status::ok();
  SLUICE_RETURN_IF_ERROR(prepare_decode(shape));
  return prepare_prefill(shape);
}

bool attention_places(const PagedAttentionShape& shape) {
  return is_fast(shape);
}

Status attend(const PagedAttentionArgs& args, const StepBatch& step, DeviceStream stream) {
  if (!is_fast(args.shape)) return plain_attention(args, step, stream);
  if (step.decode_sequences > 0) SLUICE_RETURN_IF_ERROR(decode_attention(args, step, stream));
  if (args.prefill_tiles > 0) SLUICE_RETURN_IF_ERROR(prefill_attention(args, step, stream));
  return Status::ok();
}

}  // namespace sluice
