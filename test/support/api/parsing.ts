// Parsers alone: a body in, the draft or the error out.
import { Effect, Exit, Cause, Option } from "effect"
import type { ParseContext } from "../../../src/api/parse/context.ts"
import { type Failure, toHttp, toErrorBody } from "../../../src/api/errors.ts"
import { defaults } from "../../../src/config/settings.ts"
import { charTokenizer } from "./charTokenizer.ts"
import { contextTokensMax } from "./ApiServer.ts"

export const requestId = "req-0192f0c1a2b37c4d8e9f0a1b2c3d4e5f"

export const context: ParseContext = {
  caller: {
    requestId,
    tenant: "",
    timeoutMs: null,
    cancelOnDisconnect: false,
    traceparent: null,
    idempotency: null,
  },
  limits: defaults().limits,
  tokenizer: charTokenizer,
  grammars: { check: () => Effect.void },
  model: { name: "tales", contextTokensMax },
}

type Parse<A> = (body: unknown, context: ParseContext) => Effect.Effect<A, Failure>

export const parsed = <A>(parse: Parse<A>, body: unknown): A => Effect.runSync(parse(body, context))

export interface Refused {
  readonly status: number
  readonly code: string
  readonly param: string | null
  readonly message: string
}

/** The refusal of a body, as a client would see it. */
export const refused = <A>(parse: Parse<A>, body: unknown): Refused => {
  const exit = Effect.runSyncExit(parse(body, context))
  const failure = Exit.isFailure(exit) ? Option.getOrNull(Cause.findErrorOption(exit.cause)) : null
  if (failure === null) throw new Error(`was not refused: ${JSON.stringify(body).slice(0, 200)}`)
  const { code, param, message } = toErrorBody(failure).error
  return { status: toHttp(failure).status, code, param, message }
}
