// Readers take tasks from one list; each has its own stream, pinned buffers and device staging, so
// reading, copying and placing overlap without a word between them.
#include "model/cuda/weight_load.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <utility>

#include "model/cuda/weight_tasks.h"
#include "runtime/cpu_count.h"
#include "runtime/thread_pool.h"

namespace sluice {
namespace {

// Enough to keep a PCIe 5 bus busy from the page cache, at some 8 GB/s a reader.
constexpr uint32_t kReadersMax = 8;
constexpr size_t kBuffers = 2;  // one is read into while the other is copied

constexpr uint64_t kStagingAlign = 256;

uint64_t aligned(uint64_t bytes) {
  return (bytes + kStagingAlign - 1) / kStagingAlign * kStagingAlign;
}

class Progress {
 public:
  Progress(const std::function<void(uint64_t, uint64_t)>& report, uint64_t total)
      : report_(report), total_(total) {}

  void add(uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    done_ += bytes;
    if (report_) report_(done_, total_);
  }

 private:
  const std::function<void(uint64_t, uint64_t)>& report_;
  const uint64_t total_;
  std::mutex mutex_;
  uint64_t done_ = 0;
};

struct ReaderSizes {
  uint64_t buffer_bytes = 0;
  uint64_t staging_bytes = 0;
};

class Reader {
 public:
  Status open(const Checkpoint* checkpoint, const ReaderSizes& sizes) {
    checkpoint_ = checkpoint;
    SLUICE_RETURN_IF_ERROR(Stream::open(&stream_));
    for (Buffer& buffer : buffers_) {
      SLUICE_RETURN_IF_ERROR(PinnedBuffer::allocate(sizes.buffer_bytes, &buffer.memory));
      SLUICE_RETURN_IF_ERROR(DeviceEvent::open(false, &buffer.copied));
    }
    return DeviceBuffer::allocate(sizes.staging_bytes, &staging_);
  }

  Status load(const DensePiece& piece) {
    // Each buffer has its half of the staging: the stream's order keeps both from being
    // overwritten.
    uint8_t* staging = staging_.data() + turn_ * (staging_.bytes() / kBuffers);
    SLUICE_RETURN_IF_ERROR(fetch({piece.tensor, piece.offset, piece.bytes, 0}, staging));
    DenseTensor dense = piece.shape;
    dense.values = staging;
    return place_dense(dense, piece.placement, piece.out, stream_.get());
  }

  Status load(const Int4Load& task) {
    uint8_t* at = staging_.data();
    const auto bring = [&](const Tensor* tensor, const void** out) {
      if (tensor == nullptr) return Status::ok();
      *out = at;
      const Status fetched = fetch_whole(*tensor, at);
      at += aligned(tensor->info.bytes);
      return fetched;
    };
    Int4Tensors tensors = task.shape;
    const void* weights = nullptr;
    const void* zeros = nullptr;
    SLUICE_RETURN_IF_ERROR(bring(task.fill->qweight, &weights));
    SLUICE_RETURN_IF_ERROR(bring(task.fill->qzeros, &zeros));
    SLUICE_RETURN_IF_ERROR(bring(task.fill->scales, &tensors.scales));
    tensors.weights = static_cast<const uint32_t*>(weights);
    tensors.zeros = static_cast<const uint32_t*>(zeros);
    return place_int4(tensors, task.placement, task.out, stream_.get());
  }

  Status load(const Int8Piece& piece) {
    const uint64_t scale_bytes = dense_bytes(piece.shape.scale_type);
    const uint64_t bytes = piece.weight_bytes();
    uint8_t* staging = staging_.data();
    const MatrixFill& fill = *piece.fill;
    SLUICE_RETURN_IF_ERROR(fetch(
        {fill.qweight, piece.first_row * uint64_t{piece.shape.inputs}, bytes, fill.int8_offset},
        staging));
    uint8_t* scales = staging + aligned(bytes);
    SLUICE_RETURN_IF_ERROR(
        fetch({fill.scales, piece.first_row * scale_bytes, piece.shape.outputs * scale_bytes, 0},
              scales));
    Int8Tensors tensors = piece.shape;
    tensors.weights = reinterpret_cast<const int8_t*>(staging);
    tensors.scales = scales;
    return place_int8(tensors, piece.placement, piece.out, stream_.get());
  }

  Status load(const VectorLoad& vector) {
    const DenseType type = dense_type_of(*vector.tensor);
    std::vector<uint8_t> raw(vector.tensor->info.bytes);
    SLUICE_RETURN_IF_ERROR(checkpoint_->read(*vector.tensor, 0, raw));
    std::vector<float> values(raw.size() / dense_bytes(type));
    widen_dense(type, raw.data(), values.size(), values.data());
    const uint64_t bytes = values.size() * sizeof(float);
    SLUICE_RETURN_IF_ERROR(copy_to_device(vector.out, values.data(), bytes, stream_.get()));
    return wait_for(stream_.get());
  }

  DeviceStream stream() const { return stream_.get(); }

 private:
  struct Buffer {
    PinnedBuffer memory;
    DeviceEvent copied;
  };

  struct Part {
    const Tensor* tensor;
    uint64_t offset;  // bytes of the tensor
    uint64_t bytes;
    uint8_t int8_offset;  // to be taken from each byte
  };

  // Reads into the next buffer and starts its copy.
  Status fetch(const Part& part, uint8_t* staging) {
    Buffer& buffer = buffers_[turn_];
    turn_ = (turn_ + 1) % kBuffers;
    SLUICE_CHECK(part.bytes <= buffer.memory.bytes());
    SLUICE_RETURN_IF_ERROR(buffer.copied.wait());
    uint8_t* host = buffer.memory.data();
    SLUICE_RETURN_IF_ERROR(checkpoint_->read(*part.tensor, part.offset, {host, part.bytes}));
    if (part.int8_offset != 0) {
      for (uint64_t i = 0; i < part.bytes; ++i) {
        host[i] = static_cast<uint8_t>(host[i] - part.int8_offset);
      }
    }
    SLUICE_RETURN_IF_ERROR(copy_to_device(staging, host, part.bytes, stream_.get()));
    return buffer.copied.record(stream_.get());
  }

  Status fetch_whole(const Tensor& tensor, uint8_t* staging) {
    for (uint64_t at = 0; at < tensor.info.bytes; at += kPieceBytes) {
      const uint64_t bytes = std::min(kPieceBytes, tensor.info.bytes - at);
      SLUICE_RETURN_IF_ERROR(fetch({&tensor, at, bytes, 0}, staging + at));
    }
    return Status::ok();
  }

  const Checkpoint* checkpoint_ = nullptr;
  Stream stream_;
  std::array<Buffer, kBuffers> buffers_;
  size_t turn_ = 0;
  DeviceBuffer staging_;
};

ReaderSizes sizes_for(const LoadTasks& tasks) {
  ReaderSizes sizes{kPieceBytes, 0};
  for (const DensePiece& piece : tasks.pieces) {
    sizes.buffer_bytes = std::max(sizes.buffer_bytes, aligned(piece.bytes));
  }
  sizes.staging_bytes = kBuffers * sizes.buffer_bytes;
  for (const Int8Piece& piece : tasks.int8) {
    sizes.buffer_bytes = std::max(sizes.buffer_bytes, aligned(piece.weight_bytes()));
    const uint64_t scales = aligned(piece.shape.outputs * dense_bytes(piece.shape.scale_type));
    sizes.staging_bytes = std::max(sizes.staging_bytes, aligned(piece.weight_bytes()) + scales);
  }
  sizes.staging_bytes = std::max(sizes.staging_bytes, kBuffers * sizes.buffer_bytes);
  for (const Int4Load& load : tasks.int4) {
    const uint64_t bytes = load.stored_bytes() + 3 * kStagingAlign;
    sizes.staging_bytes = std::max(sizes.staging_bytes, aligned(bytes));
  }
  return sizes;
}

// Task i of all: int4 tensors first, since they are the largest and nobody waits for one that began
// last.
Status run_task(const LoadTasks& tasks, uint32_t i, Reader* reader, uint64_t* bytes) {
  if (i < tasks.int4.size()) {
    *bytes = tasks.int4[i].stored_bytes();
    return reader->load(tasks.int4[i]);
  }
  i -= static_cast<uint32_t>(tasks.int4.size());
  if (i < tasks.int8.size()) {
    *bytes = tasks.int8[i].weight_bytes();
    return reader->load(tasks.int8[i]);
  }
  i -= static_cast<uint32_t>(tasks.int8.size());
  *bytes = tasks.pieces[i].bytes;
  return reader->load(tasks.pieces[i]);
}

Status run_tasks(const DeviceLoadArgs& args, const LoadTasks& tasks, uint64_t total) {
  const auto count =
      static_cast<uint32_t>(tasks.int4.size() + tasks.int8.size() + tasks.pieces.size());
  const uint32_t readers = std::clamp(count, 1u, std::min(kReadersMax, usable_cores()));
  const ReaderSizes sizes = sizes_for(tasks);
  std::vector<Reader> all(readers);
  for (Reader& reader : all) SLUICE_RETURN_IF_ERROR(reader.open(args.checkpoint, sizes));
  Progress progress(args.progress, total);
  for (const VectorLoad& vector : tasks.vectors) {
    SLUICE_RETURN_IF_ERROR(all[0].load(vector));
    progress.add(vector.tensor->info.bytes);
  }
  std::vector<Status> statuses(readers);
  std::atomic<bool> failed{false};
  ThreadPool pool(readers);
  pool.run(count, 1, [&](WorkRange part, uint32_t worker) {
    for (uint32_t i = part.begin; i < part.end && !failed; ++i) {
      uint64_t bytes = 0;
      const Status loaded = run_task(tasks, i, &all[worker], &bytes);
      if (loaded.is_ok()) {
        progress.add(bytes);
      } else {
        statuses[worker] = loaded;
        failed = true;
      }
    }
  });
  for (const Status& status : statuses) SLUICE_RETURN_IF_ERROR(status);
  for (Reader& reader : all) SLUICE_RETURN_IF_ERROR(wait_for(reader.stream()));
  return Status::ok();
}

}  // namespace

Status load_device_weights(const DeviceLoadArgs& args, DeviceWeights* weights) {
  ModelWeights planned;
  WeightPlan plan;
  SLUICE_RETURN_IF_ERROR(
      plan_weights({args.checkpoint, args.config, DtypeWish::kBf16}, &planned, &plan));
  std::vector<LinearFormat> formats;
  SLUICE_RETURN_IF_ERROR(formats_of(planned, plan, &formats));
  DevicePlanArgs device_plan;
  device_plan.config = args.config;
  device_plan.is_tied = planned.head.parts.empty();
  device_plan.format_of = [&](LinearKind kind, uint32_t layer) {
    return formats[format_index(kind, layer)];
  };
  const uint64_t bytes = device_arena_bytes(device_plan);
  if (bytes > args.bytes_max) {
    return {StatusCode::kTooLarge,
            "the weights take " + std::to_string(bytes >> 20) + " MiB of the device's memory; " +
                std::to_string(args.bytes_max >> 20) + " MiB may be used"};
  }
  SLUICE_RETURN_IF_ERROR(place_weights(device_plan, weights));
  LoadTasks tasks;
  list_tasks(planned, plan, *weights, &tasks);
  return run_tasks(args, tasks, plan.stored_bytes);
}

}  // namespace sluice
