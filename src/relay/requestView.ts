// A request as its fold shows it: what GET /v1/requests/{id} is made of.
import type { RequestAccepted } from "../../schemas/types.ts"
import {
  completionTokens,
  type RequestEvent,
  type RequestState,
} from "../../streams/fold/requestState.ts"
import type { RequestView, ScoredToken, Subscriber } from "./Relay.ts"

/** Keeps what a request's events say as they come: the fold itself does not. */
export class TextKeeper implements Subscriber {
  readonly #pieces: Array<Array<string>> = []
  /** Of the first choice. */
  readonly scored: Array<ScoredToken> = []

  onEvents(events: ReadonlyArray<RequestEvent>): boolean {
    for (const event of events) {
      if (event.kind !== "token") continue
      const pieces = (this.#pieces[event.choice] ??= [])
      pieces.push(event.text)
      const { choice, id, logprob } = event
      if (choice === 0 && logprob !== null) this.scored.push({ id, logprob })
    }
    return true
  }

  onError(): void {}

  text(choice: number): string {
    return this.#pieces[choice]?.join("") ?? ""
  }
}

export const viewOf = (
  request: RequestAccepted,
  state: RequestState,
  kept: TextKeeper,
): RequestView => ({
  request,
  state: state.terminal?.outcome ?? (state.attempt === 0 ? "queued" : "running"),
  attempt: state.attempt,
  events: state.events,
  texts: state.choices.map((_, choice) => kept.text(choice)),
  scored: kept.scored,
  finishes: state.choices.map(({ finish }) => finish),
  completionTokens: completionTokens(state),
  terminal: state.terminal,
})
