// POST /tokenize and /detokenize, with vLLM's bodies and answers.
import { Effect, Schema } from "effect"
import { Config } from "../config/Config.ts"
import { readJson } from "./body.ts"
import { type Call, parseContext, writeJson } from "./Call.ts"
import { renderMessages, templateFields } from "./parse/chat.ts"
import { decoder, wrongValue } from "./parse/decode.ts"
import { checkModel } from "./parse/draft.ts"
import { flag, text } from "./parse/fields.ts"
import { checkIds } from "./parse/prompt.ts"

const { messages, ...templateOptions } = templateFields

export const TokenizeBody = Schema.Struct({
  model: text("The served model's name."),
  prompt: text("The text; or give messages."),
  messages: Schema.optionalKey(messages),
  ...templateOptions,
  return_token_strs: flag("Answer with each token's text too."),
}).annotate({ identifier: "TokenizeBody" })

export const DetokenizeBody = Schema.Struct({
  model: text("The served model's name."),
  tokens: Schema.Array(Schema.Unknown)
    .annotate({ expected: "an array of token ids" })
    .annotate({ description: "Token ids." }),
}).annotate({ identifier: "DetokenizeBody" })

const decodeTokenize = decoder(TokenizeBody)
const decodeDetokenize = decoder(DetokenizeBody)

export const postTokenize = Effect.fnUntraced(function* (call: Call) {
  const { limits } = yield* Config
  const body = yield* decodeTokenize(yield* readJson(call.exchange.req, limits))
  const context = yield* parseContext(call.exchange.req, call)
  const { tokenizer, model } = context
  yield* checkModel(body.model, context)
  if ((body.prompt === undefined) === (body.messages === undefined)) {
    return yield* wrongValue("prompt", "given, or else messages, and not both", body.prompt ?? null)
  }
  const tokens =
    body.messages === undefined
      ? yield* tokenizer.encode((body.prompt ?? "").toWellFormed(), body.add_special_tokens ?? true)
      : yield* renderMessages({ ...body, messages: body.messages }, context)
  writeJson(call.exchange.res, {
    count: tokens.length,
    max_model_len: model.contextTokensMax,
    tokens,
    token_strs: body.return_token_strs === true ? tokens.map(tokenizer.model.tokenText) : null,
  })
})

export const postDetokenize = Effect.fnUntraced(function* (call: Call) {
  const { limits } = yield* Config
  const body = yield* decodeDetokenize(yield* readJson(call.exchange.req, limits))
  const context = yield* parseContext(call.exchange.req, call)
  yield* checkModel(body.model, context)
  const { tokenizer } = context
  const ids = yield* checkIds(body.tokens, "tokens", tokenizer.model.vocabSize)
  writeJson(call.exchange.res, { prompt: tokenizer.decode(ids, false) })
})
