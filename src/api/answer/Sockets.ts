// WebSockets: takes over connections that the way in let through, and hands their messages on,
// one at a time and in order. While one is being handled the socket is not read, so a client that
// sends faster than it is served is slowed down by its own connection.
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { Context, Effect, FiberSet, Layer } from "effect"
import { type RawData, type WebSocket, WebSocketServer } from "ws"
import { Config } from "../../config/Config.ts"
import type { Enqueue } from "../../enqueue/Enqueue.ts"
import type { Relay } from "../../relay/Relay.ts"
import { Metrics } from "../../telemetry/Metrics.ts"
import type { Tokenizer } from "../../tokenizer/Tokenizer.ts"
import { apiError } from "../errors.ts"
import { Pacer } from "./Pacer.ts"
import { handleMessage, type SocketGate } from "./socketRequests.ts"
import { SocketSession } from "./SocketSession.ts"

/** Everything that messages need. */
type Needs = Config | Enqueue | Metrics | Pacer | Relay | Tokenizer

/** Messages that came in one read of the socket and wait; past it the socket is closed. */
const inboxMax = 4096

/** What one socket has sent and nobody has handled yet. null: it was not text. */
interface Inbox {
  readonly messages: Array<Buffer | null>
  handling: boolean
}

const goingAway = 1001
const tooManyMessages = 1008

export class Sockets extends Context.Service<
  Sockets,
  {
    /** For node's "upgrade" event, when the caller may speak; the handshake is answered here. */
    readonly accept: (req: IncomingMessage, duplex: Duplex, head: Buffer, gate: SocketGate) => void
    readonly count: () => number
  }
>()("sluice/api/answer/Sockets") {
  static readonly layer = Layer.effect(
    Sockets,
    Effect.gen(function* () {
      const config = yield* Config
      const pacer = yield* Pacer
      const run = yield* FiberSet.makeRuntime<Needs>()
      const open = new Set<WebSocket>()
      const server = new WebSocketServer({
        noServer: true,
        clientTracking: false,
        perMessageDeflate: false,
        maxPayload: config.limits.bodyBytes,
      })
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => open.forEach((ws) => ws.close(goingAway, "The server stops."))),
      )
      const metrics = yield* Metrics
      const tell = () => metrics.gauge("sluice_connections", { kind: "websocket" }, open.size)
      const welcome = (ws: WebSocket, duplex: Duplex, gate: SocketGate) => {
        open.add(ws)
        tell()
        ws.once("close", () => {
          open.delete(ws)
          tell()
        })
        const session = new SocketSession({
          ws,
          duplex,
          pacer,
          protocol: gate.protocol,
          bytesMax: config.limits.subscriberBytes,
          requestsMax: config.limits.socketRequestsMax,
        })
        receive(ws, session, (inbox) => run(handleAll(ws, session, gate, inbox)))
      }
      return Sockets.of({
        accept: (req, duplex, head, gate) =>
          server.handleUpgrade(req, duplex, head, (ws) => welcome(ws, duplex, gate)),
        count: () => open.size,
      })
    }),
  )
}

const receive = (ws: WebSocket, session: SocketSession, handle: (inbox: Inbox) => void) => {
  const inbox: Inbox = { messages: [], handling: false }
  // Broken frames and invalid UTF-8 close the socket by themselves; the listener keeps the process.
  ws.on("error", () => {})
  const refuse = () => {
    inbox.messages.length = 0
    ws.off("message", take).close(tooManyMessages, "Too many messages.")
    // What still comes is read and dropped, or the client would never hear of the end.
    ws.resume()
  }
  const take = (data: RawData, isBinary: boolean) => {
    session.alive()
    inbox.messages.push(isBinary || !Buffer.isBuffer(data) ? null : data)
    if (inbox.messages.length > inboxMax) return refuse()
    if (inbox.handling) return
    inbox.handling = true
    ws.pause()
    handle(inbox)
  }
  ws.on("message", take)
}

const handleAll = Effect.fnUntraced(function* (
  ws: WebSocket,
  session: SocketSession,
  gate: SocketGate,
  inbox: Inbox,
) {
  while (inbox.messages.length > 0 && ws.readyState === ws.OPEN) {
    const bytes = inbox.messages.shift() ?? null
    if (bytes === null) {
      const failure = apiError("invalidJson", "Messages are JSON text, not binary.")
      session.fail({ clientId: null, requestId: null }, failure)
    } else {
      yield* handleMessage(session, gate, bytes)
    }
  }
  inbox.handling = false
  ws.resume()
})
