// Answers one HTTP exchange with what becomes of its request: as server-sent events or once and
// whole. Effects carry the lifetime; tokens go from the relay to the socket by plain calls.
import { Effect } from "effect"
import type { RequestAccepted } from "../../../schemas/types.ts"
import { Config } from "../../config/Config.ts"
import type { RequestDraft } from "../../enqueue/Enqueue.ts"
import { Metrics } from "../../telemetry/Metrics.ts"
import { Traces } from "../../telemetry/Traces.ts"
import { Tokenizer } from "../../tokenizer/Tokenizer.ts"
import { attend } from "./attend.ts"
import { collectorOf, dialectOf } from "./dialect/dialects.ts"
import type { Exchange } from "./Exchange.ts"
import { Meter } from "./Meter.ts"
import { Pacer } from "./Pacer.ts"
import { sseOutlet } from "./SseWriter.ts"
import { StreamAnswer } from "./StreamAnswer.ts"
import { WholeAnswer } from "./WholeAnswer.ts"

/**
 * Succeeds when the answer is over: written to its end, or the client is gone. Fails only while
 * nothing was written, so that the caller can still answer with the error.
 */
export const answer = Effect.fnUntraced(function* (draft: RequestDraft, exchange: Exchange) {
  const pacer = yield* Pacer
  const meter = yield* meterOf(draft)
  const { model: facts } = yield* Tokenizer
  if (!draft.answer.stream) {
    const whole = new WholeAnswer({ exchange, pacer, meter })
    return yield* attend(draft, whole, (request) => {
      if (request.requestId !== draft.requestId) tellReplay(request, exchange, meter)
      whole.open(request, collectorOf(request.dialect)(request, facts))
    })
  }
  const makeProjection = yield* dialectOf(draft.dialect)
  const makeOutlet = sseOutlet(exchange, pacer, yield* Config)
  const stream = new StreamAnswer({ makeOutlet, pacer, meter })
  return yield* attend(draft, stream, (request) => {
    if (request.requestId !== draft.requestId) tellReplay(request, exchange, meter)
    stream.open({ request, projection: makeProjection(request, facts), cursor: 0 })
  })
})

/** The call repeats an earlier one: the answer is that one's, under its id. */
const tellReplay = ({ requestId }: RequestAccepted, { res }: Exchange, meter: Meter): void => {
  meter.mute()
  res.setHeader("x-request-id", requestId)
  res.setHeader("idempotent-replayed", "true")
}

/** Starts to measure: call it when the request has arrived. */
export const meterOf = Effect.fnUntraced(function* (draft: RequestDraft) {
  const metrics = yield* Metrics
  const { now } = yield* Pacer
  const promptTokens = draft.prompts.reduce((sum, prompt) => sum + prompt.length, 0)
  const { prices } = yield* Config
  const { model, tenant } = draft
  const traces = yield* Traces
  const traced = { traces, traceparent: draft.traceparent }
  return new Meter({ metrics, model, tenant, prices, promptTokens, now, ...traced })
})
