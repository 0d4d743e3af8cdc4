// Answers compared with what was recorded: token by token where both have ids, else by their text.
// A greedy or seeded request must say the same again; the first place where it does not is what
// somebody wants to know of a new version or kernel.
import type { Planned } from "../plan/Plan.ts"
import type { Divergence, VerifyData } from "../report/Report.ts"
import type { Piece } from "../send/Answer.ts"
import type { RecordedAnswer, RecordedChoice } from "../trace/Trace.ts"

const divergencesMax = 20

const aroundMax = 24

interface Said {
  readonly ids: ReadonlyArray<number>
  readonly text: string
}

const saidBy = (pieces: ReadonlyArray<Piece>, choice: number): Said => {
  const own = pieces.filter((piece) => piece.choice === choice)
  return { ids: own.flatMap(({ ids }) => ids), text: own.map(({ text }) => text).join("") }
}

const firstDifference = <A>(a: ArrayLike<A>, b: ArrayLike<A>): number | null => {
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i++) if (a[i] !== b[i]) return i
  return a.length === b.length ? null : shorter
}

/** null: the same. */
const compareChoice = (
  recorded: RecordedChoice,
  said: Said,
): Omit<Divergence, "id" | "choice"> | null => {
  if (recorded.ids.length > 0 && said.ids.length > 0) {
    const position = firstDifference(recorded.ids, said.ids)
    if (position === null) return null
    const show = (ids: ReadonlyArray<number>) => String(ids[position] ?? "the end")
    return { position, unit: "token", expected: show(recorded.ids), found: show(said.ids) }
  }
  const position = firstDifference(recorded.text, said.text)
  if (position === null) return null
  const show = (text: string) => text.slice(position, position + aroundMax) || "the end"
  return { position, unit: "character", expected: show(recorded.text), found: show(said.text) }
}

const isComparable = (answer: RecordedAnswer | null): answer is RecordedAnswer =>
  answer !== null && answer.outcome === "finished" && answer.choices.length > 0

export class Verification {
  private compared = 0
  private equal = 0
  private skipped = 0
  private failed = 0
  private readonly divergences: Array<Divergence> = []

  /** `pieces` is null where the request failed. */
  compare(planned: Pick<Planned, "request">, pieces: ReadonlyArray<Piece> | null): void {
    const { answer, id } = planned.request
    if (!isComparable(answer)) this.skipped++
    else if (pieces === null) this.failed++
    else {
      this.compared++
      const found = answer.choices.flatMap((recorded, choice) => {
        const difference = compareChoice(recorded, saidBy(pieces, choice))
        return difference === null ? [] : [{ id: id ?? "", choice, ...difference }]
      })
      const [first] = found
      if (first === undefined) this.equal++
      else if (this.divergences.length < divergencesMax) this.divergences.push(first)
    }
  }

  toData(): VerifyData {
    const { compared, equal, skipped, failed, divergences } = this
    return { compared, equal, skipped, failed, divergences: [...divergences] }
  }
}

const none: VerifyData = { compared: 0, equal: 0, skipped: 0, failed: 0, divergences: [] }

/** Of several processes that each compared a share. */
export const addVerified = (all: ReadonlyArray<VerifyData>): VerifyData =>
  all.reduce(
    (sum, one) => ({
      compared: sum.compared + one.compared,
      equal: sum.equal + one.equal,
      skipped: sum.skipped + one.skipped,
      failed: sum.failed + one.failed,
      divergences: [...sum.divergences, ...one.divergences].slice(0, divergencesMax),
    }),
    none,
  )
