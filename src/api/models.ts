// GET /v1/models and /v1/models/{id}, with vLLM's max_model_len beside OpenAI's fields.
import { Effect } from "effect"
import { ModelCatalog, type ServedModel } from "../enqueue/ModelCatalog.ts"
import { type Call, writeJson } from "./Call.ts"
import { unknownModel } from "./parse/draft.ts"

const modelBody = (model: ServedModel) => ({
  id: model.name,
  object: "model",
  created: Math.floor(model.createdAt / 1000),
  owned_by: "sluice",
  root: model.name,
  parent: null,
  max_model_len: model.contextTokensMax,
  version: model.version,
})

export const listModels = Effect.fnUntraced(function* (call: Call) {
  const { served } = yield* ModelCatalog
  writeJson(call.exchange.res, { object: "list", data: [modelBody(served)] })
})

export const showModel = Effect.fnUntraced(function* (call: Call) {
  const { served } = yield* ModelCatalog
  const name = call.params["id"] ?? ""
  if (name !== served.name) return yield* unknownModel(name, served.name)
  writeJson(call.exchange.res, modelBody(served))
})
