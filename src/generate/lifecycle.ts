// What happens to a request from its arrival to its settlement: the one place that changes a
// request's phase. It promises that a request is settled only when its terminal entry is durable
// and was read back as the one that counts, and that nothing is logged for a request that was lost
// to another.
//
//   reading ─▶ waiting ─▶ claiming ─▶ running ─▶ ending ─▶ settled
//      ▲           └──── fresh ─────────▲ │         │
//      └──── yielded ◀── beaten ──────────┴─────────┘
//
// Synchronous: callbacks of logs, engine and timers come in, entries and submissions go out.
import type { TokenEntry } from "../../schemas/types.ts"
import { Claim } from "./claim.ts"
import type { StepOutput } from "./engine/stepOutput.ts"
import { Generation } from "./generation.ts"
import type { InFlight } from "./inFlight.ts"
import type { LifecycleEvents, LifecycleParts } from "./lifecycleParts.ts"
import { failures, refusalText } from "./refusal.ts"
import type { HardRefusal, Seat } from "./slots.ts"

/**
 * Entries not yet in the log, past which no request is started: about a second of a fast engine.
 */
const entriesPendingMax = 200_000

export class Lifecycle {
  readonly #parts: LifecycleParts
  readonly #events: LifecycleEvents
  #isDraining = false

  constructor(parts: LifecycleParts, events: LifecycleEvents) {
    this.#parts = parts
    this.#events = events
  }

  /** A record that is not in the table. `isFresh`: nobody can have claimed it before. */
  arrive(item: InFlight, isFresh: boolean): void {
    const { table, deadlines, admission } = this.#parts
    table.add(item)
    deadlines.add(item)
    if (isFresh) return admission.enqueue(item)
    item.phase = "reading"
    this.#events.wantsHistory(item)
  }

  /** A record that is a request, but none that can be run. */
  bury(item: InFlight, code: string, message: string): void {
    const { table, deadlines } = this.#parts
    if (table.get(item.request.requestId) !== item) {
      table.add(item)
      deadlines.add(item)
    }
    item.phase = "burying"
    this.#events.dead(item, code, message)
  }

  /** Its history is there and the tail feeds it from now on. */
  read(item: InFlight): void {
    if (!item.isHeld || item.phase !== "reading" || item.history === null) return
    if (item.history.isSettled) return this.settle(item)
    item.weigh(item.history)
    item.phase = "waiting"
    this.#parts.admission.enqueue(item)
  }

  /** Starts what there is room for. Called at the end of every turn that may have made room. */
  admit(): void {
    const { admission, slots, writer, now } = this.#parts
    slots.submitDelayed((item, refusal) => this.#refuse(item, refusal))
    while (!this.#isDraining && writer.entriesPending < entriesPendingMax) {
      const item = admission.next(now(), slots.room)
      if (item === null) return
      if (item.deadline <= now()) this.expire(item)
      else if (item.history === null) this.#startFresh(item)
      else this.#claim(item)
    }
  }

  onStep(step: StepOutput): void {
    for (const entry of step.entries) {
      const seat = this.#parts.slots.seat(entry.sequence)
      if (seat === undefined) continue
      const { item, choice } = seat
      if (entry.finish === "failed" || entry.finish === "unmatched") {
        const { code, message } = failures[entry.finish]
        this.#fail(item, code, message)
        continue
      }
      const generation = choice.generation
      const isFirst = generation.tokens === 0
      const isOver = generation.accept(choice, entry)
      if (item.firstTokenAt === 0 && entry.ids.length > 0) item.firstTokenAt = this.#parts.now()
      if (isFirst && generation.tokens > 0) this.#parts.slots.progressed(item)
      if (isOver) this.#endChoice(entry.sequence, seat, entry.finish === null)
    }
  }

  #endChoice(handle: number, seat: Seat, tellEngine: boolean): void {
    this.#parts.slots.endChoice(handle, seat, tellEngine)
    if (seat.choice.generation.over) this.#finish(seat.item)
  }

  /** Nobody touched it before: it claims and starts at once. A lost race only wastes work. */
  #startFresh(item: InFlight): void {
    const { writer, workerId, slots } = this.#parts
    const { requestId } = item.request
    slots.take(item)
    const claim = new Claim(1, null)
    item.claim = claim
    const entry: TokenEntry = { kind: "AttemptClaimed", requestId, attempt: 1, worker: workerId }
    writer.buffer(item.tokenPartition).add(entry, "lazy", (offset) => {
      if (item.claim === claim && !claim.landed(offset)) this.#yield(item)
    })
    this.#run(item, 1)
  }

  /** Somebody may have worked on it: it starts when the log says that the claim counts. */
  #claim(item: InFlight): void {
    const { writer, workerId, slots, claimsMax } = this.#parts
    const history = item.history
    if (history === null) return
    if (history.claimsIdle >= claimsMax) {
      const message = `Given up after ${history.claimsIdle} attempts that ended without a token.`
      return this.bury(item, "attempts_exhausted", message)
    }
    slots.take(item)
    item.phase = "claiming"
    item.lastSignAt = history.seenAt
    const { requestId } = item.request
    const attempt = history.state.attempt + 1
    item.claim = new Claim(attempt, null)
    this.#events.watchOwn(item.tokenPartition, 1)
    writer
      .buffer(item.tokenPartition)
      .add({ kind: "AttemptClaimed", requestId, attempt, worker: workerId }, "now")
  }

  /** Own claim was read back, after everything that came before it. */
  ownClaim(item: InFlight, attempt: number, offset: number): void {
    const { history, claim } = item
    if (item.phase !== "claiming" || claim === null || claim.attempt !== attempt) return
    if (history === null) return
    const { state } = history
    const isWon = state.attempt === attempt && state.claimant === this.#parts.workerId
    if (!isWon) return this.#yield(item)
    this.#events.watchOwn(item.tokenPartition, -1)
    item.claim = new Claim(attempt, offset)
    if (attempt > 1) this.#events.adopted(item)
    this.#run(item, attempt)
  }

  #run(item: InFlight, attempt: number): void {
    const { writer, makeText, tokenizer, slots } = this.#parts
    const { request } = item
    const { stop, includeStop, skipSpecialTokens, minTokens } = request.sampling
    item.generation = new Generation({
      request,
      attempt,
      buffer: writer.buffer(item.tokenPartition),
      makeText: (prompt) => {
        // A chat answer begins a text, and so does one after a marker; others go on with the
        // prompt's.
        const isMarked = tokenizer.specialIds.has(prompt.at(-1) ?? -1)
        const continuesText = request.dialect !== "chat" && !isMarked
        const options = { stop, includeStop, skipSpecialTokens, minTokens }
        return makeText(tokenizer, { ...options, continuesText })
      },
      logged: item.history?.logged ?? [],
    })
    item.history = null
    item.phase = "running"
    item.runAt = this.#parts.now()
    item.firstTokenAt = 0
    if (item.generation.over) return this.#finish(item)
    const refusal = slots.submit(item)
    if (refusal !== null) this.#refuse(item, refusal)
  }

  #finish(item: InFlight): void {
    const { generation } = item
    if (generation === null) return
    const { requestId } = item.request
    const { attempt, promptTokens, cachedTokens } = generation
    this.#end(item, {
      kind: "GenerationFinished",
      requestId,
      attempt,
      promptTokens,
      cachedTokens,
    })
  }

  #refuse(item: InFlight, refusal: HardRefusal): void {
    // A closed engine is the worker's end, not the request's: the log hands it on.
    if (refusal === "closed") return
    const { code, message } = refusalText(refusal)
    this.#fail(item, code, message)
  }

  #fail(item: InFlight, code: string, message: string): void {
    const { requestId } = item.request
    const attempt = item.claim?.attempt ?? 0
    this.#end(item, { kind: "GenerationFailed", requestId, attempt, code, message })
  }

  /** Its deadline passed. */
  expire(item: InFlight): void {
    const { requestId, deadline } = item.request
    this.#end(item, { kind: "Expired", requestId, deadline })
  }

  /** A client's wish that came by the command log; its own entry may be there already. */
  cancel(item: InFlight): void {
    const { requestId } = item.request
    this.#end(item, { kind: "Cancelled", requestId, by: this.#parts.workerId })
  }

  /** Its dead letter is durable. */
  buried(item: InFlight, code: string, message: string): void {
    const { requestId } = item.request
    const attempts = item.history?.state.attempt ?? 0
    this.#end(item, { kind: "DeadLettered", requestId, attempts, code, message })
  }

  #end(item: InFlight, entry: TokenEntry): void {
    if (!item.isHeld || item.phase === "ending") return
    this.#leave(item)
    item.phase = "ending"
    this.#parts.writer.buffer(item.tokenPartition).add(entry, "now", (offset) => {
      if (item.isHeld && item.phase === "ending") this.#events.awaitTail(item, offset)
    })
  }

  /** The tail has read past its terminal entry, and nothing before it made the entry void. */
  passed(item: InFlight): void {
    if (item.isHeld && item.phase === "ending") this.settle(item)
  }

  /** Another worker's claim, read from the log. */
  rivalClaim(item: InFlight, attempt: number, offset: number): void {
    const { phase, claim } = item
    if (phase === "waiting" && item.history === null) return this.#unfresh(item)
    const holds = phase === "running" || phase === "ending"
    if (holds && claim !== null && !claim.rival(attempt, offset)) this.#yield(item)
  }

  /** Somebody was faster while it waited as one that nobody can have touched. */
  #unfresh(item: InFlight): void {
    this.#parts.admission.remove(item)
    item.phase = "reading"
    this.#events.wantsHistory(item)
  }

  /** A terminal entry of somebody else, or one that the fold found: it counts. */
  settle(item: InFlight): void {
    if (!item.isHeld) return
    this.drop(item)
    this.#events.settled(item)
  }

  /** It is somebody else's now; its record stays undone here. */
  drop(item: InFlight): void {
    if (!item.isHeld) return
    this.#leave(item)
    const { deadlines, table, writer } = this.#parts
    deadlines.remove(item)
    table.remove(item)
    if (item.isEarly) writer.buffer(item.tokenPartition).forget(item.request.requestId)
  }

  /** The holder had its time and the request is still ours to see through. */
  retry(item: InFlight): void {
    if (!item.isHeld || item.phase !== "yielded") return
    item.phase = "reading"
    this.#events.wantsHistory(item)
  }

  /** Nothing more is started. */
  drain(): void {
    this.#isDraining = true
  }

  #yield(item: InFlight): void {
    if (!item.isHeld) return
    this.#leave(item)
    item.phase = "yielded"
    item.generation = null
    item.history = null
    item.claim = null
    this.#events.yielded(item)
  }

  /** Out of the queue, the engine and its slots, wherever it stands. */
  #leave(item: InFlight): void {
    if (item.phase === "waiting") this.#parts.admission.remove(item)
    if (item.phase === "claiming") this.#events.watchOwn(item.tokenPartition, -1)
    this.#parts.slots.stop(item)
  }
}
