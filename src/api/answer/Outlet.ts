// Where a stream's frames go: a response of server-sent events, or one of several requests on a
// WebSocket. An outlet is never waited for: it says that it is full, and later that it has room.
import type { ErrorBody } from "../errors.ts"
import type { Frame, Projection } from "./dialect/Projection.ts"

export interface Outlet {
  readonly full: boolean
  readonly put: (frame: Frame) => void
  /** Frames put so far may go out: at once where the outlet was silent, else with the next ones. */
  readonly commit: () => void
  /** No frame follows. */
  readonly end: () => void
  /** The stream breaks off for a reason that is no event of the request, so it has no cursor. */
  readonly fail: (body: ErrorBody) => void
}

export interface OutletHooks {
  readonly onRoom: () => void
  /** The client is gone. Called once at most, and not after `end` or `fail`. */
  readonly onGone: () => void
}

/** Opens the way to the client; called only when the request is durable. */
export type MakeOutlet = (hooks: OutletHooks, requestId: string, projection: Projection) => Outlet
