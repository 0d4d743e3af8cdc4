// Steps on the device: a batch goes out as one packed copy and a graph (or, for steps that no graph
// fits, its launches), and comes back as one copy of what was drawn. Up to kStepsInFlight steps are
// on the stream at once, each with its own pinned memory. After open() nothing is allocated.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "model/backend.h"
#include "model/cuda/device_model.h"
#include "model/cuda/step_packet.h"
#include "runtime/cuda/device.h"

namespace sluice {

inline constexpr uint32_t kStepsInFlight = 3;

// The number of rows that a decode step of so many sequences is padded to: few enough sizes that
// each has its graph.
uint32_t decode_bucket(uint32_t sequences);

struct StepRunnerLimits {
  uint32_t rows_max = 0;  // the batch's tokens
  uint32_t sequences_max = 0;
  uint32_t blocks_per_sequence_max = 0;
  uint32_t logit_rows_max = 0;
  bool graphs = true;
  // Told each step's own time on the device, from its packet's copy to its results', if not empty.
  std::function<void(float milliseconds)> on_step;
};

class StepRunner {
 public:
  StepRunner(DeviceModel* model, uint32_t vocab_size, const StepRunnerLimits& limits);

  // Device memory that open() takes.
  uint64_t memory_bytes() const;
  // Also captures the graphs; the model is open.
  Status open(DeviceStream stream);

  Status launch(const Batch& batch);
  // Waits for the oldest launched step.
  Status collect(StepResult* result);

 private:
  struct Flight {
    PinnedBuffer packet;
    PinnedBuffer results;
    DeviceEvent begun;
    DeviceEvent done;
    std::vector<WantedRow> wanted;
    std::vector<uint32_t> prompt_scores;  // of each sequence of the batch
    uint32_t padded_rows = 0;             // logit rows: where the alternatives begin
    bool has_top = false;
  };
  struct ResultLayout {
    uint64_t top = 0;
    uint64_t end = 0;
  };

  static ResultLayout result_layout(uint32_t logit_rows, bool has_top);
  uint64_t packet_bytes_max() const;
  uint32_t result_rows_max() const;
  PacketShape shape_of(bool* has_graph) const;
  Status renew_histories(const Batch& batch);
  Status change_many(size_t* changed);
  Status run(const PacketShape& shape, uint32_t decode_sequences);
  Status run_wanted(const PacketShape& shape, const PacketLayout& layout);
  Status capture_graphs();
  Status capture(uint32_t bucket);

  DeviceModel* const model_;
  const uint32_t vocab_size_;
  const StepRunnerLimits limits_;
  DeviceStream stream_ = nullptr;
  StepPacket packet_;
  DeviceBuffer memory_;
  uint8_t* device_packet_ = nullptr;
  uint8_t* device_results_ = nullptr;
  uint8_t* history_ = nullptr;     // SlotHistory, then its ids
  int32_t* tables_ = nullptr;      // [sequences_max, blocks_per_sequence_max]
  int32_t* last_token_ = nullptr;  // [sequences_max]
  uint16_t* cells_ = nullptr;
  std::array<Flight, kStepsInFlight> flights_;
  uint64_t launched_ = 0;
  uint64_t collected_ = 0;
  PinnedBuffer history_host_;
  PinnedBuffer changes_host_;
  std::vector<uint64_t> renewed_;           // by slot: the admission whose history the cells hold
  uint32_t prefill_tiles_ = 0;              // of the step being launched
  std::map<uint32_t, DeviceGraph> graphs_;  // by bucket
};

}  // namespace sluice
