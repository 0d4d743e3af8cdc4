// The Enqueue over the logs: checks, places, admits and appends, in that order. What it holds of a
// request before its append is given back when the append fails.
import { hostname } from "node:os"
import { Clock, Effect, Layer } from "effect"
import type { RequestAccepted } from "../../schemas/types.ts"
import { CommandLog } from "../../streams/CommandLog.ts"
import { requestTime } from "../../streams/requestId.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import type { LogError } from "../../streams/Log.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { requestTopic } from "../../streams/topics.ts"
import { Config } from "../config/Config.ts"
import { Backlog, type Holding } from "./backlog.ts"
import { Enqueue, EnqueueError, type RequestDraft } from "./Enqueue.ts"
import { makeKeys } from "./keys.ts"
import { ModelCatalog, type ServedModel } from "./ModelCatalog.ts"
import { affinityKey, choosePartition } from "./partition.ts"
import { homeOf, makeRouting, type Widths } from "./routing.ts"
import { type Ready, submitOnce } from "./submitOnce.ts"
import { Workers } from "./Workers.ts"

/**
 * Without any live worker for so long, requests are refused: before, one may just be restarting.
 */
const workersMissedMsMax = 30_000

const refuse = (
  reason: EnqueueError["reason"],
  message: string,
  retryAfterMs = 0,
  numbers: Readonly<Record<string, number>> = {},
) => new EnqueueError({ reason, message, retryAfterMs, numbers })

/** Prompts, and all the output that they may have. */
const tokensOf = ({ prompts, n, sampling }: RequestDraft) =>
  prompts.reduce((sum, prompt) => sum + prompt.length + n * sampling.maxTokens, 0)

/** null: it fits the model. */
const misfit = (draft: RequestDraft, served: ServedModel): EnqueueError | null => {
  if (draft.model !== served.name) {
    return refuse("unknownModel", `There is no model "${draft.model.slice(0, 128)}".`)
  }
  const longest = draft.prompts.reduce((most, prompt) => Math.max(most, prompt.length), 0)
  const asked = longest + draft.sampling.maxTokens
  if (asked <= served.contextTokensMax) return null
  return refuse(
    "tooLong",
    `This model's maximum context length is ${served.contextTokensMax} tokens, but ${asked} were ` +
      `asked for (${longest} in the prompt, ${draft.sampling.maxTokens} for the output).`,
    0,
    { tokens_asked: asked, tokens_max: served.contextTokensMax },
  )
}

const makeEnqueue = Effect.gen(function* () {
  const config = yield* Config
  const { served } = yield* ModelCatalog
  const workers = yield* Workers
  const requestLog = yield* RequestLog
  const tokenLog = yield* TokenLog
  const commandLog = yield* CommandLog
  const keys = yield* makeKeys
  const backlog = new Backlog(yield* Clock.currentTimeMillis)
  const writer = `gateway-${hostname()}-${process.pid}`
  const { versionOf, widthsOf, findAtHome } = yield* makeRouting(served)
  let closing = false
  yield* Effect.addFinalizer(() => Effect.sync(() => (closing = true)))

  const choosePlace = (request: RequestAccepted, widths: Widths, now: number) => {
    const topic = requestTopic(request.model, request.version, request.tier)
    return choosePartition(affinityKey(request), {
      partitions: widths.get(request.tier) ?? 1,
      ownerOf: (partition) => workers.owner(`${topic}/${partition}`, now),
      requestsOf: (partition) => backlog.requestsOf(`${topic}/${partition}`),
    })
  }

  /** Holds what the request may cost, or says why it may not. */
  const admit = (holding: Holding, version: string, now: number): EnqueueError | null => {
    const live = workers.live(now).filter((worker) => worker.version === version)
    if (live.length === 0 && now - workers.lastHeardAt() > workersMissedMsMax) {
      const message = `No worker of ${served.name} has been running lately.`
      const silent_ms = now - workers.lastHeardAt()
      return refuse("noWorkers", message, workersMissedMsMax, { silent_ms })
    }
    const refusal = backlog.refusal(holding, live, now)
    if (refusal !== null) {
      return refuse("busy", refusal.message, refusal.retryAfterMs, refusal.numbers)
    }
    backlog.hold(holding)
    return null
  }

  const deadlineOf = ({ timeoutMs }: RequestDraft, acceptedAt: number) =>
    acceptedAt + (timeoutMs ?? config.limits.requestTimeoutMs)

  /** `isOnce`: under a key, so that every gateway must make it alike. */
  const prepare = Effect.fnUntraced(function* (
    draft: RequestDraft,
    requestId: string,
    isOnce: boolean,
  ): Effect.fn.Return<Ready, EnqueueError | LogError> {
    const unfit = misfit(draft, served)
    if (unfit !== null) return yield* unfit
    const now = yield* Clock.currentTimeMillis
    const acceptedAt = isOnce ? requestTime(requestId) : now
    const { timeoutMs: _, idempotency: __, ...asked } = draft
    const deadline = deadlineOf(draft, acceptedAt)
    const version = versionOf(draft, requestId, now)
    const widths = yield* widthsOf(version)
    const request: RequestAccepted = { ...asked, requestId, version, acceptedAt, deadline }
    const { tier } = request
    const placed = isOnce ? homeOf(request, widths) : choosePlace(request, widths, now)
    const partition = `${requestTopic(request.model, version, tier)}/${placed.partition}`
    const holding = { requestId, tier, deadline, partition, tokens: tokensOf(draft) }
    const refused = admit(holding, version, now)
    if (refused !== null) return yield* refused
    return { request, place: placed }
  })

  const append = Effect.fnUntraced(function* ({ request, place }: Ready) {
    yield* requestLog
      .append(request, place)
      .pipe(Effect.onError(() => Effect.sync(() => backlog.forget(request.requestId))))
    return request
  })

  const settle = (requestId: string, by: string) =>
    tokenLog.append(tokenLog.partitionOf(requestId), writer, [{ kind: "Cancelled", requestId, by }])

  const once = {
    keys,
    find: requestLog.find,
    findAtHome,
    prepare: (draft: RequestDraft, requestId: string) => prepare(draft, requestId, true),
    append,
    forget: (requestId: string) => backlog.forget(requestId),
    settle: (requestId: string) => Effect.asVoid(settle(requestId, writer)),
    deadlineOf,
  }

  const submit = Effect.fnUntraced(function* (draft: RequestDraft) {
    if (closing) return yield* refuse("draining", "This server is shutting down.", 1_000)
    if (draft.idempotency !== null) return yield* submitOnce(once, draft, draft.idempotency)
    return yield* append(yield* prepare(draft, draft.requestId, false))
  })

  const cancel = Effect.fn("Enqueue.cancel")(function* (requestId: string, by: string) {
    yield* settle(requestId, by)
    yield* commandLog.append({ requestId, cancelledAt: yield* Clock.currentTimeMillis })
  })

  return Enqueue.of({ submit, cancel, ended: (requestId) => backlog.release(requestId) })
})

export const layerEnqueue = Layer.effect(Enqueue, makeEnqueue)
