// The whole way in over real HTTP, on an ephemeral port. Behind it FakeStages accepts what comes
// and lets each choice say "Once upon" at once; a tokenizer of one token a character needs no model
// folder.
import { Effect, Layer, Logger, ManagedRuntime, References } from "effect"
import { Api } from "../../../src/api/Api.ts"
import { Config, type ConfigShape } from "../../../src/config/Config.ts"
import { defaults } from "../../../src/config/settings.ts"
import { Console } from "../../../src/console/Console.ts"
import { Enqueue, type RequestDraft } from "../../../src/enqueue/Enqueue.ts"
import { ModelCatalog } from "../../../src/enqueue/ModelCatalog.ts"
import { Workers } from "../../../src/enqueue/Workers.ts"
import { makeWorkerStates } from "../../../src/enqueue/workerStates.ts"
import { Relay } from "../../../src/relay/Relay.ts"
import { layerMetrics } from "../../../src/telemetry/registry.ts"
import { Tokenizer } from "../../../src/tokenizer/Tokenizer.ts"
import { DeadLetterLog } from "../../../streams/DeadLetterLog.ts"
import { Log, LogError } from "../../../streams/Log.ts"
import { RequestLog } from "../../../streams/RequestLog.ts"
import { eventsOf } from "../answer/events.ts"
import { FakeStages } from "../answer/FakeStages.ts"
import { charTokenizer } from "./charTokenizer.ts"

export const contextTokensMax = 512

export interface LogLine {
  readonly message: string
  readonly facts: Readonly<Record<string, unknown>>
}

type Options = Partial<ConfigShape> & {
  readonly drainMs?: number
  readonly api?: typeof Api.layer
}

export class ApiServer {
  readonly stages = new FakeStages()
  readonly drafts: Array<RequestDraft> = []
  readonly lines: Array<LogLine> = []
  /** What /ready hears of the workers. */
  workersFault: string | null = null
  logFault: LogError | null = null
  /** False: requests are accepted and say nothing. */
  speaks = true
  readonly #runtime
  url = ""
  port = 0

  constructor({ drainMs = 5000, api = Api.layer, ...config }: Options = {}) {
    const worker = { ...defaults().worker, drainMs }
    const base = { port: 0, host: "127.0.0.1", worker }
    this.#runtime = ManagedRuntime.make(this.#layer({ ...base, ...config }, api))
  }

  async start(): Promise<this> {
    const { url, port } = await this.#runtime.runPromise(Effect.map(Api, (api) => api))
    this.url = url
    this.port = port
    return this
  }

  stop(): Promise<void> {
    return this.#runtime.dispose()
  }

  post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}) {
    return fetch(`${this.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    })
  }

  #layer(config: Partial<ConfigShape>, api: typeof Api.layer) {
    const stages = this.stages.layer()
    const enqueue = Layer.effect(
      Enqueue,
      Effect.map(Enqueue, (inner) => ({
        ...inner,
        submit: (draft: RequestDraft) =>
          Effect.tap(inner.submit(draft), () => Effect.sync(() => this.#submitted(draft))),
      })),
    )
    const relay = Layer.effect(Relay, Relay)
    const base = Layer.mergeAll(
      Config.layerTest(config),
      Layer.provide(Layer.mergeAll(enqueue, relay), stages),
      Layer.succeed(Tokenizer, charTokenizer),
      Layer.succeed(ModelCatalog, {
        served: { name: "tales", version: "1", contextTokensMax, createdAt: 1_800_000_000_000 },
        ready: Effect.sync(() => this.workersFault),
      }),
      Layer.provideMerge(Layer.mergeAll(DeadLetterLog.layer, RequestLog.layer), this.#log()),
      Layer.sync(Workers, () => makeWorkerStates("tales", 0)),
      Layer.provideMerge(Console.layer, layerMetrics),
      Logger.layer([this.#logger()]),
    )
    return Layer.provideMerge(api, base)
  }

  #submitted(draft: RequestDraft): void {
    this.drafts.push(draft)
    if (this.speaks) setImmediate(() => this.finish(draft.requestId))
  }

  /** Lets every choice of an accepted request say its words and end. */
  finish(requestId: string): void {
    const request = this.stages.requests.get(requestId)
    if (request === undefined) return
    const choices = Array.from({ length: request.prompts.length * request.n }, (_, i) => i)
    const said = choices.map((choice) => ({
      choice,
      texts: ["Once", " upon"],
      finish: "stop" as const,
    }))
    this.stages.say(requestId, eventsOf(request, said))
  }

  #logger() {
    return Logger.make((options) => {
      const facts = options.fiber.getRef(References.CurrentLogAnnotations)
      this.lines.push({ message: String(options.message), facts })
    })
  }

  /** Only what /ready asks of it. */
  #log() {
    const unused = Effect.die("The way in reads no log.")
    return Layer.succeed(Log, {
      createTopics: () => unused,
      topics: Effect.suspend(() =>
        this.logFault === null ? Effect.succeed([]) : Effect.fail(this.logFault),
      ),
      append: () => unused,
      appendThen: () => {},
      read: () => unused,
      bounds: () => unused,
      offsetAt: () => unused,
      tail: () => unused,
      consume: () => unused,
      committed: () => unused,
    })
  }
}
