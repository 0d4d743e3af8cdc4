// The log itself as a target: requests are appended where workers take them from, and answers are
// read where relays read them. No gateway stands between, so none of its time is in the figures.
import { Effect, Layer, ManagedRuntime, Predicate } from "effect"
import { plainAnswer, plainSampling } from "../../../schemas/plainRequest.ts"
import type { RequestAccepted, Sampling, TokenFrame } from "../../../schemas/types.ts"
import {
  apply,
  emptyState,
  type RequestState,
  type TerminalEvent,
} from "../../../streams/fold/requestState.ts"
import { newRequestId } from "../../../streams/requestId.ts"
import { RequestLog } from "../../../streams/RequestLog.ts"
import { TokenLog } from "../../../streams/TokenLog.ts"
import { Config, type ConfigShape } from "../../config/Config.ts"
import { affinityKey, homePartition } from "../../enqueue/partition.ts"
import type { Failure } from "../../replay/measure/Tally.ts"
import type { Planned } from "../../replay/plan/Plan.ts"
import type { Target, TargetEnd, Watch } from "../../replay/send/Target.ts"
import { layerLogger } from "../../telemetry/logger.ts"
import { layerStoreThere } from "../store.ts"

interface Following {
  readonly watch: Watch
  readonly state: RequestState
}

const failureOf = ({ outcome, code }: TerminalEvent): Failure | null => {
  if (outcome === "finished") return null
  if (outcome === "expired") return "timeout"
  return code === "" ? "errorEvent" : "serverError"
}

const numberOr = (value: unknown, instead: number): number =>
  typeof value === "number" && Number.isFinite(value) ? value : instead

const listOf = <A>(value: unknown, is: (one: unknown) => one is A): ReadonlyArray<A> =>
  Array.isArray(value) ? value.filter(is) : []

const biasesOf = (value: unknown): Sampling["logitBias"] =>
  Object.entries(Predicate.isObject(value) ? value : {}).map(([token, bias]) => ({
    token: Number(token),
    bias: numberOr(bias, 0),
  }))

const samplingOf = ({ request: { params }, outputTokens }: Planned): Sampling => {
  const of = (name: string, instead: number) => numberOr(params?.[name], instead)
  return {
    ...plainSampling,
    maxTokens: of("max_tokens", Math.max(1, outputTokens)),
    minTokens: of("min_tokens", 0),
    temperature: of("temperature", 0),
    topP: of("top_p", 1),
    topK: of("top_k", 0),
    minP: of("min_p", 0),
    presencePenalty: of("presence_penalty", 0),
    frequencyPenalty: of("frequency_penalty", 0),
    repetitionPenalty: of("repetition_penalty", 1),
    logitBias: biasesOf(params?.["logit_bias"]),
    seed: of("seed", 1),
    stop: listOf(params?.["stop"], Predicate.isString),
    stopTokenIds: listOf(params?.["stop_token_ids"], Predicate.isNumber),
    ignoreEos: params === null || params["ignore_eos"] === true,
    skipSpecialTokens: params?.["skip_special_tokens"] !== false,
    includeStop: params?.["include_stop_str_in_output"] === true,
  }
}

export interface LogTargetOptions {
  readonly config: ConfigShape
  /** Of each request, from its send. */
  readonly deadlineMs: number
}

const wordsRefused = "the log takes token ids: record the trace, or give --prompt-ids"

const ended = (failure: Failure | null, detail: string): TargetEnd => ({
  failure,
  detail,
  retryAfter: false,
  promptTokens: 0,
  outputTokens: 0,
})

class LogTarget implements Target {
  private readonly following = new Map<string, Following>()
  private readonly append: (request: RequestAccepted, onError: (why: string) => void) => void
  private readonly options: LogTargetOptions
  private readonly dispose: () => void

  constructor(options: LogTargetOptions, append: LogTarget["append"], dispose: () => void) {
    this.options = options
    this.append = append
    this.dispose = dispose
  }

  send(planned: Planned, watch: Watch): (why: Failure) => void {
    if (planned.prompt.kind !== "ids") {
      watch.onEnd(ended("rejected", wordsRefused))
      return () => {}
    }
    const request = this.requestOf(planned, planned.prompt.prompts)
    const { requestId } = request
    const choices = request.prompts.length * request.n
    this.following.set(requestId, { watch, state: emptyState(choices) })
    this.append(request, (why) => this.end(requestId, ended("unavailable", why)))
    return (why) => this.end(requestId, ended(why, ""))
  }

  close(): void {
    this.dispose()
  }

  /** All of one read's frames. */
  take(frame: TokenFrame): void {
    for (const entry of frame.entries) {
      const followed = this.following.get(entry.requestId)
      if (followed === undefined) continue
      for (const event of apply(followed.state, frame.writer, entry)) {
        if (event.kind === "token") {
          followed.watch.onContent(1)
          const { choice, text, id } = event
          followed.watch.onPiece?.({ choice, text, ids: [id] })
        } else {
          this.end(entry.requestId, {
            ...ended(failureOf(event), event.message),
            promptTokens: event.promptTokens,
            outputTokens: event.completionTokens,
          })
        }
      }
    }
  }

  private requestOf(planned: Planned, prompts: RequestAccepted["prompts"]): RequestAccepted {
    const { config, deadlineMs } = this.options
    const now = Math.round(performance.timeOrigin + performance.now())
    return {
      requestId: newRequestId(now),
      acceptedAt: now,
      deadline: now + deadlineMs,
      model: config.servedModelName,
      version: config.modelVersion,
      tier: "default",
      tenant: "",
      dialect: "completions",
      promptCacheKey: null,
      prompts,
      n: numberOr(planned.request.params?.["n"], 1),
      sampling: samplingOf(planned),
      answer: plainAnswer,
      traceparent: null,
      grammar: null,
      tools: null,
      textFormat: null,
    }
  }

  private end(requestId: string, end: TargetEnd): void {
    const followed = this.following.get(requestId)
    if (!this.following.delete(requestId)) return
    followed?.watch.onEnd(end)
  }
}

/** Rejects where the log or the model's topics are not there. */
export const openLogTarget = async (options: LogTargetOptions): Promise<Target> => {
  const { servedModelName: model, modelVersion: version } = options.config
  const layer = Layer.mergeAll(RequestLog.layer, TokenLog.layer).pipe(
    Layer.provide(layerStoreThere),
    Layer.provide(Layer.succeed(Config, options.config)),
    Layer.provideMerge(layerLogger("error")),
  )
  const runtime = ManagedRuntime.make(layer)
  const { requests, tokens, partitions } = await runtime.runPromise(
    Effect.gen(function* () {
      const log = yield* RequestLog
      const count = yield* log.partitions(model, version, "default")
      return { requests: log, tokens: yield* TokenLog, partitions: count }
    }),
  )
  const append: LogTarget["append"] = (request, onError) => {
    const place = homePartition(affinityKey(request), partitions)
    const appended = requests.append(request, place)
    runtime.runFork(
      Effect.catchTag(appended, "LogError", ({ message }) => Effect.sync(() => onError(message))),
    )
  }
  const target = new LogTarget(options, append, () => void runtime.dispose())
  const tail = tokens.tail({
    from: "end",
    onFrames: (_partition, frames) => {
      for (const { value } of frames) if (value !== null) target.take(value)
    },
    // What is followed then ends by its own time.
    onError: () => {},
  })
  await new Promise<void>((resolve) => {
    const forever = Effect.andThen(tail, Effect.andThen(Effect.sync(resolve), Effect.never))
    runtime.runFork(Effect.scoped(forever))
  })
  return target
}
