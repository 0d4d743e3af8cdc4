// A dense Hugging Face folder to a quantised model.safetensors, and what that cost. It writes
// weights only: config.json and the tokenizer's files are the caller's, who puts them beside.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/quantize/layer_forward.h"
#include "runtime/status.h"

namespace sluice {

enum class QuantizeMethod {
  kAwq,    // 4 bits in groups, scales and cuts searched over calibration rows
  kRound,  // 4 bits in groups, rounded as they are
  kInt8,   // 8 bits, one scale an output
};

struct QuantizeArgs {
  std::string folder;
  std::string file;  // the model.safetensors to write
  QuantizeMethod method = QuantizeMethod::kAwq;
  uint32_t group_inputs = 128;
  uint32_t threads = 0;                                         // 0: what this process may use
  CalibrationRows calibration{};                                // kAwq
  std::function<void(uint32_t done, uint32_t total)> progress;  // layers; may be empty
};

Status quantize_model(const QuantizeArgs& args);

}  // namespace sluice
