// What the token log says of each request, folded a second time: written after the rules of the
// architecture page and not after streams/fold, so that a fault in one shows as a difference from
// the other. It keeps what the product's fold forgets: where every event stands, and what was void.
import type { TokenEntry, TokenFrame, TokensGenerated } from "../../../schemas/types.ts"
import type {
  Outcome,
  RequestEvent,
  TerminalEvent,
  TokenEvent,
} from "../../../streams/fold/requestState.ts"

export interface FrameRecord {
  readonly partition: number
  readonly offset: number
  /** ms since the epoch, by the log's clock; 0 where nobody asks. */
  readonly timestamp?: number
  /** null: the record is damaged. */
  readonly frame: TokenFrame | null
}

export interface Place {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly writer: string
}

/**
 * late: after the end. stale: of an attempt or a writer that does not hold the request. repeated:
 * every position is there already. gap: a position before it is missing.
 */
export type Void = "late" | "stale" | "repeated" | "gap"

export interface VoidEntry {
  readonly why: Void
  readonly at: Place
  readonly entry: TokenEntry
}

export interface Canon {
  readonly requestId: string
  readonly events: ReadonlyArray<RequestEvent>
  /** By event: where the entry stands that made it. */
  readonly places: ReadonlyArray<Place>
  readonly terminal: TerminalEvent | null
  readonly claims: number
  /** The most claims that counted one after the other without a token between. */
  readonly idleClaimsMax: number
  /** Tokens of a position that is held which differ from those held. */
  readonly contradictions: ReadonlyArray<string>
  readonly voids: ReadonlyArray<VoidEntry>
  /** Ids that count, by choice. */
  readonly ids: ReadonlyArray<ReadonlyArray<number>>
  readonly texts: ReadonlyArray<ReadonlyArray<string>>
  readonly partitions: ReadonlySet<number>
}

const outcomes: Readonly<Partial<Record<TokenEntry["kind"], Outcome>>> = {
  GenerationFinished: "finished",
  GenerationFailed: "failed",
  Cancelled: "cancelled",
  Expired: "expired",
  DeadLettered: "deadLettered",
}

const byAnyone = new Set<TokenEntry["kind"]>(["Cancelled", "Expired", "DeadLettered"])

const expiredWords = {
  code: "deadline_exceeded",
  message: "The request was not finished by its deadline.",
}

class Folding implements Canon {
  readonly requestId: string
  readonly events: Array<RequestEvent> = []
  readonly places: Array<Place> = []
  readonly contradictions: Array<string> = []
  readonly voids: Array<VoidEntry> = []
  readonly partitions = new Set<number>()
  readonly #tokens: Array<Array<TokenEvent>> = []
  readonly #scores = new Map<number, Extract<TokenEntry, { kind: "PromptScored" }>["logprobs"]>()
  #holder: { readonly attempt: number; readonly worker: string } | null = null
  terminal: TerminalEvent | null = null
  idleClaimsMax = 0
  #idleClaims = 0

  constructor(requestId: string) {
    this.requestId = requestId
  }

  get claims(): number {
    return this.#holder?.attempt ?? 0
  }

  get ids(): ReadonlyArray<ReadonlyArray<number>> {
    return Array.from(this.#tokens, (tokens) => (tokens ?? []).map(({ id }) => id))
  }

  get texts(): ReadonlyArray<ReadonlyArray<string>> {
    return Array.from(this.#tokens, (tokens) => (tokens ?? []).map(({ text }) => text))
  }

  take(entry: TokenEntry, at: Place): void {
    this.partitions.add(at.partition)
    const why = this.#take(entry, at)
    if (why !== null) this.voids.push({ why, at, entry })
  }

  #take(entry: TokenEntry, at: Place): Void | null {
    if (this.terminal !== null) return "late"
    if (entry.kind === "AttemptClaimed") {
      if (entry.attempt !== this.claims + 1) return "stale"
      this.#holder = { attempt: entry.attempt, worker: entry.worker }
      this.idleClaimsMax = Math.max(this.idleClaimsMax, ++this.#idleClaims)
      return null
    }
    const isHolders =
      "attempt" in entry &&
      this.#holder !== null &&
      this.#holder.attempt === entry.attempt &&
      this.#holder.worker === at.writer
    if (!byAnyone.has(entry.kind) && !isHolders) return "stale"
    const outcome = outcomes[entry.kind]
    if (outcome !== undefined) return this.#end(outcome, entry, at)
    if (entry.kind === "PromptScored") {
      if (!this.#scores.has(entry.prompt)) this.#scores.set(entry.prompt, entry.logprobs)
      return null
    }
    return entry.kind === "TokensGenerated" ? this.#append(entry, at) : null
  }

  #end(outcome: Outcome, entry: TokenEntry, at: Place): null {
    const counted = entry.kind === "GenerationFinished" ? entry : null
    const worded = "code" in entry ? entry : outcome === "expired" ? expiredWords : null
    this.terminal = {
      kind: "terminal",
      number: this.events.length + 1,
      outcome,
      code: worded?.code ?? "",
      message: worded?.message ?? "",
      promptTokens: counted?.promptTokens ?? 0,
      cachedTokens: counted?.cachedTokens ?? 0,
      completionTokens: this.events.length,
    }
    this.#push(this.terminal, at)
    return null
  }

  #push(event: RequestEvent, at: Place): void {
    this.events.push(event)
    this.places.push(at)
  }

  #append(entry: TokensGenerated, at: Place): Void | null {
    const tokens = (this.#tokens[entry.choice] ??= [])
    if (entry.position > tokens.length) return "gap"
    let isNew = false
    for (const [i, id] of entry.ids.entries()) {
      const position = entry.position + i
      const held = tokens[position]
      const text = entry.texts[i] ?? ""
      if (held !== undefined) {
        if (held.id !== id || held.text !== text) {
          this.contradictions.push(
            `choice ${entry.choice}, position ${position}: ` +
              `${held.id} ${JSON.stringify(held.text)}, ` +
              `and again ${id} ${JSON.stringify(text)} at ${at.partition}/${at.offset}`,
          )
        }
        continue
      }
      if (tokens.at(-1)?.finish != null) return "late"
      isNew = true
      const isLast = i === entry.ids.length - 1
      const event: TokenEvent = {
        kind: "token",
        number: this.events.length + 1,
        choice: entry.choice,
        position,
        id,
        text,
        logprob: entry.logprobs?.[i] ?? null,
        promptLogprobs: position === 0 ? this.#promptScores() : null,
        finish: isLast ? entry.finish : null,
        stopReason: isLast ? entry.stopReason : null,
      }
      tokens.push(event)
      this.#idleClaims = 0
      this.#push(event, at)
    }
    return isNew ? null : "repeated"
  }

  #promptScores(): TokenEvent["promptLogprobs"] {
    if (this.#scores.size === 0) return null
    const last = Math.max(...this.#scores.keys())
    return Array.from({ length: last + 1 }, (_, prompt) => this.#scores.get(prompt) ?? null)
  }
}

/** The canon of every request that the frames name; those of one partition in offset order. */
export const foldAll = (frames: Iterable<FrameRecord>): ReadonlyMap<string, Canon> => {
  const fold = new ReferenceFold()
  for (const record of frames) fold.take(record)
  return fold.canons
}

/** The same, fed as the log grows. */
export class ReferenceFold {
  readonly #canons = new Map<string, Folding>()

  get canons(): ReadonlyMap<string, Canon> {
    return this.#canons
  }

  take({ partition, offset, timestamp = 0, frame }: FrameRecord): void {
    if (frame === null) return
    const at: Place = { partition, offset, timestamp, writer: frame.writer }
    for (const entry of frame.entries) {
      let canon = this.#canons.get(entry.requestId)
      if (canon === undefined) {
        canon = new Folding(entry.requestId)
        this.#canons.set(entry.requestId, canon)
      }
      canon.take(entry, at)
    }
  }
}
