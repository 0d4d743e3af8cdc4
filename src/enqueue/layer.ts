// The Enqueue over the logs: checks, places, admits and appends, in that order. What it holds of a
// request before its append is given back when the append fails.
import { hostname } from "node:os"
import { Clock, Effect, Layer } from "effect"
import type { RequestAccepted } from "../../schemas/types.ts"
import { CommandLog } from "../../streams/CommandLog.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { requestTopic, tiers } from "../../streams/topics.ts"
import { Config } from "../config/Config.ts"
import { Backlog, type Holding } from "./backlog.ts"
import { Enqueue, EnqueueError, type RequestDraft } from "./Enqueue.ts"
import { ModelCatalog, type ServedModel } from "./ModelCatalog.ts"
import { affinityKey, choosePartition } from "./partition.ts"
import { chooseVersion } from "./version.ts"
import { Workers } from "./Workers.ts"

/**
 * Without any live worker for so long, requests are refused: before, one may just be restarting.
 */
const workersMissedMsMax = 30_000

const refuse = (reason: EnqueueError["reason"], message: string, retryAfterMs = 0) =>
  new EnqueueError({ reason, message, retryAfterMs })

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
  )
}

const makeEnqueue = Effect.gen(function* () {
  const { limits } = yield* Config
  const { served } = yield* ModelCatalog
  const workers = yield* Workers
  const requestLog = yield* RequestLog
  const tokenLog = yield* TokenLog
  const commandLog = yield* CommandLog
  const backlog = new Backlog(yield* Clock.currentTimeMillis)
  const writer = `gateway-${hostname()}-${process.pid}`
  const widths = new Map(
    yield* Effect.forEach(tiers, (tier) =>
      Effect.map(
        requestLog.partitions(served.name, served.version, tier),
        (partitions) => [tier, partitions] as const,
      ),
    ),
  )
  let closing = false
  yield* Effect.addFinalizer(() => Effect.sync(() => (closing = true)))

  const place = (request: RequestAccepted, now: number) => {
    const topic = requestTopic(request.model, request.version, request.tier)
    return choosePartition(affinityKey(request), {
      partitions: widths.get(request.tier) ?? 1,
      ownerOf: (partition) => workers.owner(`${topic}/${partition}`, now),
      requestsOf: (partition) => backlog.requestsOf(`${topic}/${partition}`),
    })
  }

  /** Holds what the request may cost, or says why it may not. */
  const admit = (holding: Holding, now: number): EnqueueError | null => {
    const live = workers.live(now)
    if (live.length === 0 && now - workers.lastHeardAt() > workersMissedMsMax) {
      const message = `No worker of ${served.name} has been running lately.`
      return refuse("noWorkers", message, workersMissedMsMax)
    }
    const refusal = backlog.refusal(holding, live, now)
    if (refusal !== null) return refuse("busy", refusal.message, refusal.retryAfterMs)
    backlog.hold(holding)
    return null
  }

  const submit = Effect.fnUntraced(function* (draft: RequestDraft) {
    if (closing) return yield* refuse("draining", "This server is shutting down.", 1_000)
    const unfit = misfit(draft, served)
    if (unfit !== null) return yield* unfit
    const now = yield* Clock.currentTimeMillis
    const { timeoutMs, ...asked } = draft
    const request: RequestAccepted = {
      ...asked,
      version: chooseVersion(served),
      acceptedAt: now,
      deadline: now + (timeoutMs ?? limits.requestTimeoutMs),
    }
    const placed = place(request, now)
    const { requestId, tier, deadline } = request
    const topic = requestTopic(request.model, request.version, tier)
    const partition = `${topic}/${placed.partition}`
    const holding = { requestId, tier, deadline, partition, tokens: tokensOf(draft) }
    const refused = admit(holding, now)
    if (refused !== null) return yield* refused
    yield* requestLog
      .append(request, placed)
      .pipe(Effect.onError(() => Effect.sync(() => backlog.forget(requestId))))
    return request
  })

  const cancel = Effect.fn("Enqueue.cancel")(function* (requestId: string, by: string) {
    const partition = tokenLog.partitionOf(requestId)
    yield* tokenLog.append(partition, writer, [{ kind: "Cancelled", requestId, by }])
    yield* commandLog.append({ requestId, cancelledAt: yield* Clock.currentTimeMillis })
  })

  return Enqueue.of({ submit, cancel, ended: (requestId) => backlog.release(requestId) })
})

export const layerEnqueue = Layer.effect(Enqueue, makeEnqueue)
