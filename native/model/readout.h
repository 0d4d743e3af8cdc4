// From the residual stream to tokens: final norm and output head over the rows that need logits,
// then the sampler. Logits exist for kLogitRows rows at a time, however many rows a step scores.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/sampler.h"
#include "model/batch_rows.h"
#include "model/transformer.h"
#include "runtime/large_buffer.h"

namespace sluice {

inline constexpr uint32_t kLogitRows = 16;

class Readout {
 public:
  explicit Readout(const ModelParts& parts);

  Status reserve();

  // `residual` is of the rows of `rows`, which were filled from `batch`.
  void run(const Batch& batch, const BatchRows& rows, RowsView residual, StepResult* result);

 private:
  void compute_logits(std::span<const LogitRow> wanted, RowsView residual);
  void read_row(const Batch& batch, const LogitRow& wanted, uint32_t index, uint32_t worker);

  const ModelParts parts_;
  std::vector<Sampler> samplers_;  // one for each worker
  LargeBuffer memory_;
  RowsView normed_;  // [kLogitRows, hidden]
  RowsView logits_;  // [kLogitRows, vocab]
  StepResult* result_ = nullptr;
};

}  // namespace sluice
