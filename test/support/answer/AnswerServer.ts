// A bare HTTP server before the answers, with the stages of FakeStages behind them: POST / answers
// `draft`, GET, DELETE and GET .../events ask for a request, an upgrade opens a WebSocket.
// Everything in front of the answers (routing, parsing, keys) is left out.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, Layer, Logger, ManagedRuntime } from "effect"
import type { RequestAccepted } from "../../../schemas/types.ts"
import { answer } from "../../../src/api/answer/answer.ts"
import { Pacer } from "../../../src/api/answer/Pacer.ts"
import { cancelRequest, requestEvents, viewRequest } from "../../../src/api/answer/requests.ts"
import { streamProtocol } from "../../../src/api/answer/socketProtocol.ts"
import { Sockets } from "../../../src/api/answer/Sockets.ts"
import { writeError } from "../../../src/api/errors.ts"
import { Config, type ConfigShape } from "../../../src/config/Config.ts"
import type { RequestDraft } from "../../../src/enqueue/Enqueue.ts"
import { layerMetrics } from "../../../src/telemetry/registry.ts"
import { Tokenizer } from "../../../src/tokenizer/Tokenizer.ts"
import { noGenerationDefaults } from "../layerLetters.ts"
import { byteModel } from "../tokenizer.ts"
import { accepted } from "./events.ts"
import { FakeStages } from "./FakeStages.ts"

const layerTokenizer = Layer.succeed(Tokenizer, {
  model: byteModel(Array.from({ length: 200 }, (_, id) => `<${id}>`)),
  encode: () => Effect.succeed([1]),
  decode: () => "",
  renderChat: () => Effect.succeed(""),
  hasChatTemplate: false,
  toolFormat: "hermes",
  generationDefaults: noGenerationDefaults,
})

export const draftOf = (request: RequestAccepted): RequestDraft => {
  const { acceptedAt: _at, version: _version, deadline: _deadline, ...rest } = request
  return { ...rest, timeoutMs: null, idempotency: null }
}

export const answerLayers = (stages: FakeStages, config: Partial<ConfigShape>) => {
  const base = Layer.mergeAll(
    Config.layerTest(config),
    stages.layer(),
    layerTokenizer,
    layerMetrics,
  )
  return Sockets.layer.pipe(
    Layer.provideMerge(Pacer.layer),
    Layer.provideMerge(base),
    Layer.provideMerge(Logger.layer([])),
  )
}

export class AnswerServer {
  readonly stages = new FakeStages()
  readonly #runtime
  readonly #server: Server
  draft: RequestDraft = draftOf(accepted())
  /** Of the caller. */
  tenant = ""
  ended = 0
  url = ""

  constructor(config: Partial<ConfigShape> = {}) {
    this.#runtime = ManagedRuntime.make(answerLayers(this.stages, config))
    this.#server = createServer((req, res) => this.#serve(req, res))
    this.#server.on("upgrade", (req, socket, head) => {
      const draft = (body: unknown, requestId: string) =>
        Effect.sync(() => {
          const text = JSON.stringify(body)
          const id = /"id":"([^"]*)"/.exec(text)?.[1] ?? null
          const answerOptions = { ...this.draft.answer, clientId: id }
          return { ...this.draft, dialect: "stream", requestId, answer: answerOptions }
        })
      this.#runtime.runFork(
        Effect.map(Sockets, (sockets) =>
          sockets.accept(req, socket, head, {
            tenant: this.tenant,
            protocol: streamProtocol,
            draft,
          }),
        ),
      )
    })
  }

  async start(): Promise<this> {
    await this.#runtime.context()
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve))
    const { port } = this.#server.address() as AddressInfo
    this.url = `http://127.0.0.1:${port}`
    return this
  }

  dropConnections(): void {
    this.#server.closeAllConnections()
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.closeAllConnections()
    await this.#runtime.dispose()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    const path = (req.url ?? "").split("?", 1)[0] ?? ""
    const id = path.split("/")[1] ?? ""
    const json = (body: unknown) => {
      res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body))
    }
    const exchange = { req, res }
    const handled =
      req.method === "POST"
        ? Effect.asVoid(answer(this.draft, exchange))
        : path.endsWith("/events")
          ? requestEvents(id, this.tenant, exchange)
          : req.method === "DELETE"
            ? Effect.map(cancelRequest(id, this.tenant), json)
            : Effect.map(viewRequest(id, this.tenant), json)
    this.#runtime.runFork(
      handled.pipe(
        Effect.catch((failure) => Effect.sync(() => writeError(res, failure))),
        Effect.ensuring(Effect.sync(() => (this.ended += 1))),
      ),
    )
  }
}

/** Waits until it holds, for two seconds at most. */
export const until = async (holds: () => boolean): Promise<void> => {
  for (let waited = 0; waited < 2000; waited += 5) {
    if (holds()) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error("it did not come to hold within 2 s")
}
