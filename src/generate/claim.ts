// Whether an attempt still holds its request. The order of claims in the log decides, so a claim
// can be judged only once its own offset is known; claims of others that arrive before that are
// kept.
//
//   log  --- claim 1 (other) --- claim 1 (own) --- claim 2 (other) ---
//             before own, same attempt: it counted, own did not
//                                                   next attempt, wherever it stands: it took over

interface Rival {
  readonly attempt: number
  readonly offset: number
}

export class Claim {
  readonly attempt: number
  #offset: number | null
  readonly #rivals: Array<Rival> = []

  /** `offset`: null while the claim's append is under way. */
  constructor(attempt: number, offset: number | null) {
    this.attempt = attempt
    this.#offset = offset
  }

  /** Own claim is in the log. False: it never counted, or counts no more. */
  landed(offset: number): boolean {
    this.#offset = offset
    return !this.#rivals.some((rival) => this.#isBeatenBy(rival, offset))
  }

  /** Another worker's claim was read. False: own claim does not count any more. */
  rival(attempt: number, offset: number): boolean {
    const rival = { attempt, offset }
    if (this.#offset !== null) return !this.#isBeatenBy(rival, this.#offset)
    this.#rivals.push(rival)
    return true
  }

  /**
   * The next attempt is claimed only by who has read that this one counts: whoever's it is, it is
   * over then. That may stand before the offset that is known here: an append whose outcome was
   * unknown is sent again, and its first copy counts.
   */
  #isBeatenBy(rival: Rival, offset: number): boolean {
    if (rival.attempt === this.attempt) return rival.offset < offset
    return rival.attempt === this.attempt + 1
  }
}
