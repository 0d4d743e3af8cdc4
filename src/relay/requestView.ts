// A request as its fold shows it: what GET /v1/requests/{id} is made of.
import type { RequestAccepted } from "../../schemas/types.ts"
import { completionTokens, type RequestState } from "../../streams/fold/requestState.ts"
import type { RequestView } from "./Relay.ts"

export const viewOf = (request: RequestAccepted, state: RequestState): RequestView => ({
  request,
  state: state.terminal?.outcome ?? (state.attempt === 0 ? "queued" : "running"),
  attempt: state.attempt,
  events: state.events,
  texts: state.choices.map(({ texts }) => texts.join("")),
  finishes: state.choices.map(({ finish }) => finish),
  completionTokens: completionTokens(state),
  terminal: state.terminal,
})
