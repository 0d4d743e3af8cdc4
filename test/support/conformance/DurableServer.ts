// The read side of Durable Streams behind a writer of the test's own: whatever is created and
// appended over HTTP becomes a request and its events in FakeStages, and every GET and HEAD is
// answered by Sluice's handler. So a suite that writes what it reads can drive the reader.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, ManagedRuntime } from "effect"
import {
  jsonForm,
  offsetOf,
  textForm,
  textProjection,
} from "../../../src/api/answer/durable/form.ts"
import { readDurable, writeSafetyHeaders } from "../../../src/api/answer/durable/read.ts"
import { viewFor } from "../../../src/api/answer/requests.ts"
import { writeError } from "../../../src/api/errors.ts"
import { defaults } from "../../../src/config/settings.ts"
import type { RequestEvent } from "../../../streams/fold/requestState.ts"
import { newRequestId } from "../../../streams/requestId.ts"
import { answerLayers } from "../answer/AnswerServer.ts"
import { accepted } from "../answer/events.ts"
import { FakeStages } from "../answer/FakeStages.ts"

interface Stream {
  readonly requestId: string
  readonly type: string
}

const unknownId = "req-0192f0c1a2b37c4d8e9f0a1b2c3d4e5f"

const bodyOf = async (req: IncomingMessage): Promise<string> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of req) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

const mediaType = (header: string | undefined): string =>
  (header ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? ""

/** As the protocol stores them: a JSON array is so many messages. null: no JSON. */
const messagesOf = (type: string, body: string): ReadonlyArray<string> | null => {
  if (body === "") return []
  if (type !== "application/json") return [body]
  try {
    const value: unknown = JSON.parse(body)
    return (Array.isArray(value) ? value : [value]).map((one: unknown) => JSON.stringify(one))
  } catch {
    return null
  }
}

export class DurableServer {
  readonly #stages = new FakeStages()
  readonly #runtime = ManagedRuntime.make(
    answerLayers(this.#stages, { heartbeat: { ...defaults().heartbeat, everyMs: 1000 } }),
  )
  readonly #streams = new Map<string, Stream>()
  readonly #server: Server = createServer((req, res) => void this.#serve(req, res))
  url = ""

  async start(): Promise<this> {
    await this.#runtime.context()
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve))
    const { port } = this.#server.address() as AddressInfo
    this.url = `http://127.0.0.1:${port}`
    return this
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await this.#runtime.dispose()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = (req.url ?? "").split("?", 1)[0] ?? ""
    if (req.method === "GET" || req.method === "HEAD") return this.#read(path, req, res)
    const body = await bodyOf(req)
    writeSafetyHeaders({ req, res })
    if (req.method === "PUT") this.#create(path, body, req, res)
    else if (req.method === "POST") this.#append(path, body, req, res)
    else if (req.method === "DELETE") res.writeHead(this.#streams.delete(path) ? 204 : 404).end()
    else res.writeHead(204, { "access-control-allow-headers": "*" }).end()
  }

  #read(path: string, req: IncomingMessage, res: ServerResponse): void {
    const stream = this.#streams.get(path)
    const exchange = { req, res }
    const form = stream?.type === "application/json" ? jsonForm : textForm
    writeSafetyHeaders(exchange)
    this.#runtime.runFork(
      viewFor(stream?.requestId ?? unknownId, "").pipe(
        Effect.flatMap((view) =>
          readDurable({ view, exchange, makeProjection: textProjection, form }),
        ),
        Effect.catch((failure) => Effect.sync(() => writeError(res, failure))),
      ),
    )
  }

  #create(path: string, body: string, req: IncomingMessage, res: ServerResponse): void {
    const type = mediaType(req.headers["content-type"]) || "text/plain"
    const texts = messagesOf(type, body)
    if (texts === null) return void res.writeHead(400).end()
    const known = this.#streams.get(path)
    if (known !== undefined) return void res.writeHead(known.type === type ? 200 : 409).end()
    const requestId = newRequestId(1_800_000_000_000 + this.#streams.size)
    this.#stages.requests.set(requestId, accepted({ requestId }))
    this.#streams.set(path, { requestId, type })
    this.#write(requestId, texts, req.headers["stream-closed"] === "true")
    const offset = this.#offset(requestId)
    const location = `${this.url}${path}`
    res.writeHead(201, { location, "content-type": type, "stream-next-offset": offset }).end()
  }

  #append(path: string, body: string, req: IncomingMessage, res: ServerResponse): void {
    const stream = this.#streams.get(path)
    if (stream === undefined) return void res.writeHead(404).end()
    const closes = req.headers["stream-closed"] === "true"
    const texts = messagesOf(stream.type, body)
    if (texts === null || (texts.length === 0 && !closes)) return void res.writeHead(400).end()
    this.#write(stream.requestId, texts, closes)
    const closed = closes ? { "stream-closed": "true" } : {}
    const offset = this.#offset(stream.requestId)
    res.writeHead(204, { "stream-next-offset": offset, ...closed }).end()
  }

  #offset(requestId: string): string {
    return offsetOf(this.#stages.events.get(requestId)?.length ?? 0)
  }

  /** One delivery, as a flush with the request's end would be. */
  #write(requestId: string, texts: ReadonlyArray<string>, closes: boolean): void {
    const held = this.#stages.events.get(requestId)?.length ?? 0
    const tokens: ReadonlyArray<RequestEvent> = texts.map((text, i) => ({
      kind: "token",
      number: held + i + 1,
      choice: 0,
      position: held + i,
      id: 1,
      text,
      logprob: null,
      promptLogprobs: null,
      finish: null,
      stopReason: null,
    }))
    const number = held + tokens.length + 1
    const counts = { promptTokens: 1, cachedTokens: 0, completionTokens: number - 1 }
    const ended = { outcome: "finished" as const, code: "", message: "", ...counts }
    const end: ReadonlyArray<RequestEvent> = closes ? [{ kind: "terminal", number, ...ended }] : []
    this.#stages.say(requestId, [...tokens, ...end])
  }
}
