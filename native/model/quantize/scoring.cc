// Steps of a backend without an engine: each row has its own run of blocks.
#include "model/quantize/scoring.h"

#include <algorithm>
#include <cmath>

#include "model/backend.h"

namespace sluice {
namespace {

// Rows that are written at once.
constexpr uint32_t kRowsAtOnce = 16;

uint32_t blocks_of(uint32_t tokens) {
  return (tokens + kBlockTokens - 1) / kBlockTokens;
}

Status open_backend(const std::string& folder, std::unique_ptr<Backend>* backend) {
  LoadOptions options;
  options.folder = folder;
  return load_cpu_backend(options, backend);
}

Status check_ids(const std::string& folder, std::span<const uint32_t> ids, const Backend& backend) {
  const uint32_t vocab_size = backend.info().vocab_size;
  const uint32_t highest = *std::max_element(ids.begin(), ids.end());
  if (highest < vocab_size) return Status::ok();
  return {StatusCode::kInvalid,
          folder + ": its tokenizer makes id " + std::to_string(highest) +
              ", config.json's vocab_size is " + std::to_string(vocab_size)};
}

struct WrittenRow {
  std::vector<uint32_t> ids;
  std::vector<uint32_t> table;
  SamplingArgs sampling;
  uint32_t computed = 0;
};

class RowWriter {
 public:
  RowWriter(const WriteRowsArgs& args, Backend* backend) : args_(args), backend_(backend) {}

  // Rows [first, first + count), appended to `ids`.
  Status write(uint32_t first, uint32_t count, std::vector<uint32_t>* ids) {
    std::vector<WrittenRow> rows(count);
    const uint32_t blocks = blocks_of(args_.row_tokens);
    for (uint32_t i = 0; i < count; ++i) {
      rows[i].ids = args_.start_ids;
      rows[i].sampling.seed = first + i;
      for (uint32_t b = 0; b < blocks; ++b) rows[i].table.push_back(i * blocks + b);
    }
    while (rows[0].computed < args_.row_tokens) SLUICE_RETURN_IF_ERROR(step(&rows));
    for (const WrittenRow& row : rows) {
      ids->insert(ids->end(), row.ids.begin(), row.ids.begin() + args_.row_tokens);
    }
    return Status::ok();
  }

 private:
  // All rows grow by the same tokens a step, so they end together.
  Status step(std::vector<WrittenRow>* rows) {
    Batch batch;
    for (uint32_t i = 0; i < rows->size(); ++i) {
      WrittenRow& row = (*rows)[i];
      const auto end = std::min(static_cast<uint32_t>(row.ids.size()), args_.row_tokens);
      BatchSequence sequence;
      sequence.slot = i;
      sequence.tokens = row.ids.data() + row.computed;
      sequence.query_tokens = row.computed == 0 ? end : 1;
      sequence.context_tokens = row.computed;
      sequence.block_table = row.table.data();
      sequence.sample = true;
      sequence.sampling = &row.sampling;
      sequence.position = row.computed;
      sequence.history = row.ids;
      batch.sequences.push_back(sequence);
    }
    StepResult result;
    SLUICE_RETURN_IF_ERROR(backend_->launch(batch));
    SLUICE_RETURN_IF_ERROR(backend_->collect(&result));
    for (uint32_t i = 0; i < rows->size(); ++i) {
      WrittenRow& row = (*rows)[i];
      row.computed += batch.sequences[i].query_tokens;
      if (row.computed < row.ids.size()) continue;
      const uint32_t id = result.sequences[i].sampled.id;
      row.ids.push_back(id);
      const bool ends =
          std::find(args_.eos_ids.begin(), args_.eos_ids.end(), id) != args_.eos_ids.end();
      if (ends) row.ids.insert(row.ids.end(), args_.start_ids.begin(), args_.start_ids.end());
    }
    return Status::ok();
  }

  const WriteRowsArgs& args_;
  Backend* backend_;
};

}  // namespace

Status measure_perplexity(const std::string& folder, const CalibrationRows& rows, double* out) {
  std::unique_ptr<Backend> backend;
  SLUICE_RETURN_IF_ERROR(open_backend(folder, &backend));
  SLUICE_RETURN_IF_ERROR(check_ids(folder, rows.ids, *backend));
  const uint32_t blocks = blocks_of(rows.row_tokens);
  SLUICE_RETURN_IF_ERROR(backend->reserve(blocks, 1, rows.row_tokens));
  std::vector<uint32_t> table(blocks);
  for (uint32_t i = 0; i < blocks; ++i) table[i] = i;
  SamplingArgs sampling;
  sampling.prompt_logprobs = 0;
  double sum = 0;
  uint64_t count = 0;
  for (uint32_t row = 0; row < rows.rows(); ++row) {
    const auto ids = rows.ids.subspan(uint64_t{row} * rows.row_tokens, rows.row_tokens);
    Batch batch;
    BatchSequence& sequence = batch.sequences.emplace_back();
    sequence.admission = row + 1;
    sequence.tokens = ids.data();
    sequence.query_tokens = rows.row_tokens;
    sequence.block_table = table.data();
    sequence.sampling = &sampling;
    sequence.history = ids;
    sequence.prompt_tokens = rows.row_tokens;
    StepResult result;
    SLUICE_RETURN_IF_ERROR(backend->launch(batch));
    SLUICE_RETURN_IF_ERROR(backend->collect(&result));
    for (const SampledToken& token : result.sequences[0].prompt) {
      sum -= static_cast<double>(token.logprob);
      ++count;
    }
  }
  *out = count == 0 ? 0 : std::exp(sum / static_cast<double>(count));
  return Status::ok();
}

Status write_rows(const WriteRowsArgs& args, std::vector<uint32_t>* ids) {
  SLUICE_CHECK(!args.start_ids.empty() && args.start_ids.size() <= args.row_tokens);
  std::unique_ptr<Backend> backend;
  SLUICE_RETURN_IF_ERROR(open_backend(args.folder, &backend));
  SLUICE_RETURN_IF_ERROR(check_ids(args.folder, args.start_ids, *backend));
  const uint32_t at_once = std::min(args.rows, kRowsAtOnce);
  const auto start = static_cast<uint32_t>(args.start_ids.size());
  SLUICE_RETURN_IF_ERROR(
      backend->reserve(at_once * blocks_of(args.row_tokens), at_once, at_once * start));
  RowWriter writer(args, backend.get());
  for (uint32_t first = 0; first < args.rows; first += at_once) {
    SLUICE_RETURN_IF_ERROR(writer.write(first, std::min(at_once, args.rows - first), ids));
  }
  return Status::ok();
}

}  // namespace sluice
