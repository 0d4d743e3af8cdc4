// The handlers that make requests: read, parse, and hand over to the answer.
import { Effect } from "effect"
import { Config } from "../config/Config.ts"
import type { RequestDraft } from "../enqueue/Enqueue.ts"
import type { TokenizerError } from "../tokenizer/Tokenizer.ts"
import { answer } from "./answer/answer.ts"
import { readJson } from "./body.ts"
import { type Call, parseContext } from "./Call.ts"
import type { ApiError } from "./errors.ts"
import { parseChat } from "./parse/chat.ts"
import { parseCompletions } from "./parse/completions.ts"
import type { ParseContext } from "./parse/context.ts"

type Parse = (
  body: unknown,
  context: ParseContext,
) => Effect.Effect<RequestDraft, ApiError | TokenizerError>

const generation = (parse: Parse) =>
  Effect.fnUntraced(function* (call: Call) {
    const { limits } = yield* Config
    const body = yield* readJson(call.exchange.req, limits)
    const draft = yield* parse(body, yield* parseContext(call.exchange.req, call))
    call.note(
      "promptTokens",
      draft.prompts.reduce((sum, prompt) => sum + prompt.length, 0),
    )
    const end = yield* answer(draft, call.exchange)
    call.note("outcome", end.outcome)
    call.note("completionTokens", end.completionTokens)
  })

/** POST /v1/completions */
export const postCompletions = generation(parseCompletions)

/** POST /v1/chat/completions */
export const postChat = generation(parseChat)
