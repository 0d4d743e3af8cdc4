// One HTTP exchange as node gives it. Answers are written to it directly: the router's own response
// type costs three times as much for each token event.
import type { IncomingMessage, ServerResponse } from "node:http"

export interface Exchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
}
