// What the log says of a request that somebody may have worked on before: the fold, and from it
// where an adopting attempt goes on. Ids that count are never generated again.
import type { RequestAccepted, TokenEntry, TokenFrame } from "../../schemas/types.ts"
import { apply, emptyState, type RequestState } from "../../streams/fold/requestState.ts"
import type { LoggedChoice } from "./generation.ts"

/** From this many claims without progress on, a request runs apart from others like it. */
const suspectClaims = 2

/**
 * The fold of one request, fed first by a range read and then by the tail. `next`: every frame of
 * its token partition below this offset was applied.
 */
export class History {
  readonly state: RequestState
  next = 0
  /** Claims that counted since a token last did: what a poison request leaves behind. */
  claimsIdle = 0
  /** When the last frame that says something of it was written. */
  seenAt = 0
  /** Ids that count, by choice and position. */
  readonly #ids: ReadonlyArray<Array<number>>

  constructor(request: RequestAccepted) {
    const choices = request.prompts.length * request.n
    this.state = emptyState(choices)
    this.#ids = Array.from({ length: choices }, () => [])
  }

  apply({ writer, writtenAt }: Pick<TokenFrame, "writer" | "writtenAt">, entry: TokenEntry): void {
    const { attempt } = this.state
    this.seenAt = writtenAt
    const events = apply(this.state, writer, entry)
    for (const event of events) {
      if (event.kind === "token") this.#ids[event.choice]?.push(event.id)
    }
    if (this.state.attempt > attempt) this.claimsIdle++
    else if (events.length > 0) this.claimsIdle = 0
  }

  get isSettled(): boolean {
    return this.state.terminal !== null
  }

  /**
   * Its workers died before they could say anything. Perhaps it kills them, perhaps it only ran
   * beside one that does: run one at a time, the next death says which.
   */
  get isSuspect(): boolean {
    return this.claimsIdle >= suspectClaims
  }

  get logged(): ReadonlyArray<LoggedChoice> {
    return this.#ids.map((ids, choice) => ({
      ids,
      finished: (this.state.choices[choice]?.finish ?? null) !== null,
    }))
  }
}
