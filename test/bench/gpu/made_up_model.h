// The models of the benchmark: shapes of common ones with random weights, made on the device, so
// that nothing is downloaded or read.
#pragma once

#include <memory>
#include <string>

#include "model/cuda/cuda_backend.h"

namespace sluice::bench {

// "8b" or "1b"; "bf16" or "awq" (int4 in groups of 128, the head in bf16).
Status make_model(const std::string& shape,
                  const std::string& format,
                  std::unique_ptr<CudaModel>* model);

// Bytes of weights that a decode step reads.
uint64_t step_weight_bytes(const CudaModel& model);

// Multiply-adds, twice, of one token's linears, the head left out.
double token_flops(const ModelConfig& config);

}  // namespace sluice::bench
