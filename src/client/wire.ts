// The two ways on which events come, as async iterators that end where the connection does:
// server-sent events by fetch, and WebSocket messages. They know cursors and nothing of requests;
// who reads slowly slows the connection down, or loses it and comes back with its cursor.
import { errorOfAnswer } from "./SluiceError.ts"

export interface Message {
  /** null: of no event of the request. */
  readonly cursor: number | null
  readonly data: Chunk
  /** Nothing follows. */
  readonly isEnd: boolean
}

/** What frames of all dialects may hold of what the client reads. */
export interface Chunk {
  readonly delta?: string
  readonly index?: number
  readonly cursor?: number
  readonly choice?: number
  readonly finish_reason?: string | null
  readonly request_id?: string
  readonly error?: { readonly code: string; readonly message: string; readonly type: string }
  readonly usage?: Usage | null
  readonly choices?: ReadonlyArray<{
    readonly index: number
    readonly text?: string
    readonly delta?: { readonly content?: string }
    readonly finish_reason: string | null
  }>
}

export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
}

export interface Connection {
  readonly url: string
  readonly signal: AbortSignal
  /** Without a byte for so long a connection counts as broken. */
  readonly idleMs: number
}

/** Closes a connection when its reader leaves, or when it was silent for too long. */
const guard = ({ signal, idleMs }: Connection, close: () => void) => {
  let timer: ReturnType<typeof setTimeout>
  const touch = () => {
    clearTimeout(timer)
    timer = setTimeout(close, idleMs)
  }
  const end = () => {
    clearTimeout(timer)
    signal.removeEventListener("abort", close)
    close()
  }
  signal.addEventListener("abort", close)
  if (signal.aborted) close()
  touch()
  return { touch, end }
}

export interface SseOptions extends Connection {
  readonly fetch: typeof fetch
  readonly init: RequestInit
  readonly onId: (requestId: string | null) => void
}

export async function* sseMessages(options: SseOptions): AsyncGenerator<Message> {
  const closing = new AbortController()
  const { touch, end } = guard(options, () => closing.abort())
  try {
    const init = { ...options.init, signal: closing.signal }
    const answer = await options.fetch(options.url, init)
    if (!answer.ok) throw await errorOfAnswer(answer)
    options.onId(answer.headers.get("x-request-id"))
    if (answer.body === null) return yield { cursor: null, data: {}, isEnd: true }
    const reader = answer.body.getReader()
    const decoder = new TextDecoder()
    let text = ""
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      touch()
      text += decoder.decode(value, { stream: true })
      const blocks = text.split("\n\n")
      // What is cut off in the middle of a block comes again, whole, after the cursor before it.
      text = blocks.pop() ?? ""
      for (const block of blocks) {
        const [, id, data = "{}"] = /(?:^id: (\d+)\n)?^data: (.*)/m.exec(block) ?? []
        const isEnd = data === "[DONE]"
        const cursor = id ? Number(id) : null
        yield { cursor, data: isEnd ? {} : JSON.parse(data), isEnd }
      }
    }
  } finally {
    end()
  }
}

export interface SocketOptions extends Connection {
  readonly WebSocket: typeof WebSocket
  readonly protocols: Array<string>
  readonly first: object
}

/** Messages that wait for a slow reader; past it the socket is left, to be taken up again. */
const waitingMax = 4096

export async function* socketMessages(options: SocketOptions): AsyncGenerator<Message> {
  const socket = new options.WebSocket(options.url, options.protocols)
  const waiting: Array<string> = []
  let isClosed = false
  let wake = () => {}
  const close = () => {
    isClosed = true
    socket.close()
    wake()
  }
  const { touch, end } = guard(options, close)
  socket.addEventListener("open", () => socket.send(JSON.stringify(options.first)))
  socket.addEventListener("close", close)
  socket.addEventListener("message", ({ data }) => {
    if (isClosed) return
    touch()
    waiting.push(data)
    if (waiting.length >= waitingMax) close()
    wake()
  })
  try {
    for (;;) {
      for (let text = waiting.shift(); text !== undefined; text = waiting.shift()) {
        const data: Chunk = JSON.parse(text)
        // A token may read "[DONE]" too: the end is what has no index.
        const isEnd = data.delta === "[DONE]" && data.index === undefined
        yield { cursor: data.cursor ?? null, data, isEnd }
      }
      if (isClosed) return
      await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    end()
  }
}
