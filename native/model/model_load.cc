// Config, then the plan, then the bytes.
#include "model/model_load.h"

#include <string_view>
#include <utility>

#include "model/checkpoint.h"
#include "model/weight_fill.h"
#include "model/weight_plan.h"

namespace sluice {
namespace {

constexpr char kConfigName[] = "config.json";

Status parse_wish(const std::string& dtype, DtypeWish* wish) {
  constexpr std::pair<std::string_view, DtypeWish> kNames[] = {{"auto", DtypeWish::kStored},
                                                               {"float32", DtypeWish::kF32},
                                                               {"bfloat16", DtypeWish::kBf16},
                                                               {"float16", DtypeWish::kF16}};
  for (const auto& [name, value] : kNames) {
    if (name != dtype) continue;
    *wish = value;
    return Status::ok();
  }
  return {StatusCode::kInvalid,
          "dtype: found \"" + dtype + "\"; supported: auto, float32, bfloat16, float16"};
}

Status load_config(const LoadOptions& options, ModelConfig* config) {
  std::string path;
  std::string text;
  SLUICE_RETURN_IF_ERROR(path_in_folder(options.folder, kConfigName, &path));
  SLUICE_RETURN_IF_ERROR(read_text(path, kConfigBytesMax, &text));
  const Status parsed = parse_config(text, options.context_tokens_max, config);
  if (parsed.is_ok()) return parsed;
  return {parsed.code(), path + ": " + parsed.message()};
}

}  // namespace

Status load_model(const LoadOptions& options, ThreadPool* pool, LoadedModel* model) {
  DtypeWish wish = DtypeWish::kStored;
  SLUICE_RETURN_IF_ERROR(parse_wish(options.dtype, &wish));
  SLUICE_RETURN_IF_ERROR(load_config(options, &model->config));
  Checkpoint checkpoint;
  SLUICE_RETURN_IF_ERROR(Checkpoint::open(options.folder, &checkpoint));
  WeightPlan plan;
  const Status planned = plan_weights({&checkpoint, &model->config, wish}, &model->weights, &plan);
  if (!planned.is_ok()) return {planned.code(), options.folder + ": " + planned.message()};
  return fill_weights({&checkpoint, pool, options.progress}, plan, &model->weights);
}

}  // namespace sluice
