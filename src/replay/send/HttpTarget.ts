// Any server with OpenAI's API over HTTP: one request a connection at a time, connections kept and
// taken again last in, first out, so that a steady load uses few. HTTP itself is undici's.
import { Client, type Dispatcher } from "undici"
import type { Failure } from "../measure/Tally.ts"
import type { Planned } from "../plan/Plan.ts"
import { Answer } from "./Answer.ts"
import { contentTypeWanted, failureOf, failureOfStatus } from "./failures.ts"
import type { Target, Watch } from "./Target.ts"

export interface HttpOptions {
  /** With the path that stands before /v1, where there is one. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly stream: boolean
  /** Between two pieces of an answer that has begun. */
  readonly stallMs: number
  /** Until an answer begins. */
  readonly timeoutMs: number
}

const connectMs = 10_000

/** Of an error's body: enough to show what a server said. */
const errorBytesMax = 2000

const firstOf = (value: string | ReadonlyArray<string> | undefined): string =>
  typeof value === "string" ? value : (value?.[0] ?? "")

/** One request on its way: undici's callbacks turned into what a watch is told. */
class Exchange implements Dispatcher.DispatchHandler {
  private readonly answer: Answer
  private readonly watch: Watch
  private readonly stream: boolean
  private readonly onFree: (reusable: boolean) => void
  private controller: Dispatcher.DispatchController | null = null
  private givenUp: Failure | null = null
  private errorBody = ""
  private retryAfter = false
  private over = false

  constructor(stream: boolean, watch: Watch, onFree: (reusable: boolean) => void) {
    this.answer = new Answer(stream, watch)
    this.watch = watch
    this.stream = stream
    this.onFree = onFree
  }

  giveUp(why: Failure): void {
    this.givenUp = why
    if (this.controller === null) this.end(why, "", false)
    else this.controller.abort(new Error(why))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.givenUp !== null) controller.abort(new Error(this.givenUp))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | Array<string> | undefined>,
  ): void {
    this.retryAfter = headers["retry-after"] !== undefined
    const failure = failureOfStatus(status)
    const type = firstOf(headers["content-type"])
    const wanted = contentTypeWanted(this.stream)
    if (failure !== null) this.answer.fail(failure, "")
    else if (!type.toLowerCase().startsWith(wanted)) {
      this.answer.fail("wrongContentType", `"${type}" instead of ${wanted}`)
    }
    this.errorBody = failure === null ? "" : `${status} `
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { answer } = this
    if (answer.failure === null) answer.feed(chunk)
    if (answer.failure === null) return
    if (this.errorBody.length < errorBytesMax) this.errorBody += chunk.toString("utf8")
    // What is wrong in the middle is not read to its end, which may never come.
    else controller.abort(new Error(answer.failure))
    if (answer.failure === "malformed" || answer.failure === "errorEvent") {
      controller.abort(new Error(answer.failure))
    }
  }

  onResponseEnd(): void {
    this.answer.end()
    this.end(this.answer.failure, this.answer.detail || this.errorBody, true)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const known = this.givenUp ?? this.answer.failure
    if (known !== null) return this.end(known, this.answer.detail || this.errorBody, false)
    const { failure, detail } = failureOf(error)
    // A stream that has said its last word may be closed in any way.
    if (this.answer.isOver) this.end(null, "", false)
    else this.end(failure, detail, false)
  }

  private end(failure: Failure | null, detail: string, reusable: boolean): void {
    if (this.over) return
    this.over = true
    this.onFree(reusable)
    const { promptTokens, outputTokens } = this.answer
    const { retryAfter } = this
    this.watch.onEnd({ failure, detail, retryAfter, promptTokens, outputTokens })
  }
}

export class HttpTarget implements Target {
  private readonly idle: Array<Client> = []
  private readonly all = new Set<Client>()
  private readonly options: HttpOptions
  private readonly origin: string
  private readonly prefix: string
  private readonly headers: Record<string, string>

  constructor(options: HttpOptions) {
    this.options = options
    const url = new URL(options.url)
    this.origin = url.origin
    // Both the server and its /v1 are usual ways of naming one.
    this.prefix = url.pathname.replace(/\/+$/, "").replace(/\/v1$/, "")
    this.headers = {
      "content-type": "application/json",
      accept: contentTypeWanted(options.stream),
      ...options.headers,
    }
  }

  send(planned: Planned, watch: Watch): (why: Failure) => void {
    const client = this.idle.pop() ?? this.connect()
    const exchange = new Exchange(this.options.stream, watch, (reusable) => {
      if (reusable) this.idle.push(client)
      else this.drop(client)
    })
    const path = this.prefix + planned.path
    const { headers } = this
    client.dispatch({ method: "POST", path, headers, body: planned.body }, exchange)
    return (why) => exchange.giveUp(why)
  }

  close(): void {
    for (const client of this.all) this.drop(client)
  }

  private connect(): Client {
    const client = new Client(this.origin, {
      pipelining: 1,
      allowH2: false,
      headersTimeout: this.options.timeoutMs,
      bodyTimeout: this.options.stallMs,
      connect: { timeout: connectMs },
    })
    this.all.add(client)
    return client
  }

  private drop(client: Client): void {
    this.all.delete(client)
    void client.destroy()
  }
}
