// Sluice's own client, for browsers and Node, without dependencies: text as it is generated,
// exactly once, over connections that break. `import { SluiceClient } from "sluice/client"`.
import { Generation } from "./Generation.ts"

export type { Generation, Piece } from "./Generation.ts"
export { SluiceError } from "./SluiceError.ts"
export type { Usage } from "./wire.ts"

export interface ClientOptions {
  /** http://host:port of a gateway. */
  readonly url: string
  /** The API key, where the server asks for one. */
  readonly key?: string
  /** How events come; "sse" by default. */
  readonly transport?: "sse" | "websocket"
  /** How often in a row it is tried again without getting any further; 10 by default. */
  readonly retries?: number
  /** The first pause before trying again, doubled each time, and the longest. */
  readonly backoffMs?: readonly [first: number, longest: number]
  /** A connection without a byte for so long is left for a new one; 60 s by default. */
  readonly idleMs?: number
  /** In place of the platform's own. */
  readonly fetch?: typeof fetch
  readonly WebSocket?: typeof WebSocket
}

export interface CallOptions {
  /** Leaves the loop with its reason; the request goes on. */
  readonly signal?: AbortSignal
  /** Calls under one key are one request; each is its own by default. */
  readonly idempotencyKey?: string
}

/** Options with their defaults, as a generation uses them. */
export interface ClientSettings {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly protocols: Array<string>
  readonly transport: "sse" | "websocket"
  readonly retries: number
  readonly idleMs: number
  readonly fetch: typeof fetch
  readonly WebSocket: typeof WebSocket
  /** Waits before the nth try in a row, at least so long; cut short by the signal. */
  readonly pause: (failures: number, leastMs: number, signal: AbortSignal) => Promise<void>
}

const randomWords = (): Uint32Array => crypto.getRandomValues(new Uint32Array(4))

/** Up to all of the doubled pause: clients that broke together do not come back together. */
const pauseOf =
  ([first, longest]: readonly [number, number]): ClientSettings["pause"] =>
  (failures, leastMs, signal) =>
    new Promise((resolve) => {
      const [word = 0] = randomWords()
      const fullMs = Math.min(longest, first * 2 ** failures)
      const timer = setTimeout(done, failures && Math.max(leastMs, (fullMs * word) / 2 ** 32))
      signal.addEventListener("abort", done)
      function done() {
        clearTimeout(timer)
        signal.removeEventListener("abort", done)
        resolve()
      }
    })

export class SluiceClient {
  readonly #settings: ClientSettings

  constructor({ key, backoffMs, ...options }: ClientOptions) {
    this.#settings = {
      transport: "sse",
      retries: 10,
      idleMs: 60_000,
      fetch: (...asked) => fetch(...asked),
      WebSocket: globalThis.WebSocket,
      ...options,
      url: options.url.replace(/\/+$/, ""),
      headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
      // Browsers let no header go with a WebSocket: the key goes as a subprotocol.
      protocols: key === undefined ? [] : ["sluice", `sluice-key.${encodeURIComponent(key)}`],
      pause: pauseOf(backoffMs ?? [100, 5_000]),
    }
  }

  /** A body of POST /v1/completions. */
  complete(body: object, options: CallOptions = {}): Generation {
    return this.#ask("/v1/completions", body, options)
  }

  /** A body of POST /v1/chat/completions. */
  chat(body: object, options: CallOptions = {}): Generation {
    return this.#ask("/v1/chat/completions", body, options)
  }

  /** An earlier request's events after a cursor. */
  resume(requestId: string, cursor = 0, { signal }: CallOptions = {}): Generation {
    return new Generation(this.#settings, { requestId, cursor, signal })
  }

  #ask(path: string, body: object, options: CallOptions): Generation {
    const idempotencyKey = randomWords().join("-")
    return new Generation(this.#settings, { idempotencyKey, ...options, path, body })
  }
}
