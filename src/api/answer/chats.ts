// A useChat conversation that comes back, after a reload or from another device: the answer that it
// is getting now, whole, since the client keeps nothing of it. Where none is running it is told so
// by 204, as its transport expects; what was said is in the application's own store by then.
import { Clock, Effect } from "effect"
import { Config } from "../../config/Config.ts"
import { Relay } from "../../relay/Relay.ts"
import { uiProjection } from "./dialect/ui.ts"
import type { Exchange } from "./Exchange.ts"
import { isOver, streamFrom, viewFor } from "./requests.ts"

/** Requests that asked for a later deadline than the general one are looked for no longer. */
export const chatEvents = Effect.fn("Chats.events")(function* (
  chatId: string,
  tenant: string,
  exchange: Exchange,
) {
  const { limits } = yield* Config
  const now = yield* Clock.currentTimeMillis
  const wanted = { tenant, dialect: "ui", clientId: chatId, since: now - limits.requestTimeoutMs }
  const request = yield* (yield* Relay).findChat({ ...wanted, now })
  const view = request === null ? null : yield* viewFor(request.requestId, tenant)
  if (view === null || isOver(view)) return void exchange.res.writeHead(204).end()
  const makeProjection = uiProjection
  yield* streamFrom({ view, exchange, makeProjection, cursor: 0, overStatus: 204 })
})
