// What a model folder makes of rows of ids, by the server's own CPU backend: how well it predicts
// them, and rows that it writes itself, for models that come without a text to calibrate on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/quantize/layer_forward.h"
#include "runtime/status.h"

namespace sluice {

// e to the mean negative log probability of every id of a row but its first.
Status measure_perplexity(const std::string& folder, const CalibrationRows& rows, double* out);

struct WriteRowsArgs {
  std::string folder;
  uint32_t rows = 0;
  uint32_t row_tokens = 0;
  std::vector<uint32_t> start_ids;  // each text begins with them
  std::vector<uint32_t> eos_ids;    // after one of these a row goes on with a new text
};

// Drawn at temperature 1, each row by a seed of its own: the same folder writes the same rows.
Status write_rows(const WriteRowsArgs& args, std::vector<uint32_t>* ids);

}  // namespace sluice
