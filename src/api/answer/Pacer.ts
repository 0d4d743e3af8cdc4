// When streams write: one timer a process for all of them, not one a stream. A stream that was
// silent writes its next event at once; what follows within 20 ms goes out together, since a write
// costs more than a token. Also the slow beat by which idle streams show that they live.
import { Clock, Context, Effect, Layer } from "effect"
import { Config } from "../../config/Config.ts"
import { Metrics } from "../../telemetry/Metrics.ts"

export interface Paced {
  /**
   * Writes what came in since the last write; false if nothing did: then it is not called again.
   */
  readonly flush: () => boolean
}

export interface Beating {
  readonly beat: (nowMs: number) => void
  /** Of the answer that it is; null: it is none, as a socket that carries some. */
  readonly dialect: string | null
  /** It waits for a slow client. */
  readonly isPaused: boolean
}

export interface PacerShape {
  /** Calls `flush` in 20 ms, and every 20 ms until it returns false. */
  readonly pace: (paced: Paced) => void
  /** Calls `beat` twice in each heartbeat interval. */
  readonly join: (beating: Beating) => void
  readonly leave: (beating: Beating) => void
  /** ms since the epoch. */
  readonly now: () => number
}

const slots = 4
const slotMs = 5

/** Streams are spread over four slots, so that a thousand of them do not write in one burst. */
export class FlushWheel {
  readonly #slots: Array<Array<Paced>> = Array.from({ length: slots }, () => [])
  #current = 0
  #count = 0
  #timer: NodeJS.Timeout | null = null

  pace(paced: Paced): void {
    this.#slots[this.#current]?.push(paced)
    this.#count += 1
    this.#timer ??= setInterval(() => this.#turn(), slotMs)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** A slot comes round again after all others: 20 ms. What flushed stays in its slot. */
  #turn(): void {
    this.#current = (this.#current + 1) % slots
    const due = this.#slots[this.#current] ?? []
    if (due.length === 0) return
    const stay: Array<Paced> = []
    this.#slots[this.#current] = stay
    this.#count -= due.length
    for (const paced of due) {
      if (!paced.flush()) continue
      stay.push(paced)
      this.#count += 1
    }
    if (this.#count === 0) this.stop()
  }
}

export class Pacer extends Context.Service<Pacer, PacerShape>()("sluice/api/answer/Pacer") {
  static readonly layer = Layer.effect(
    Pacer,
    Effect.gen(function* () {
      const { heartbeat } = yield* Config
      const clock = yield* Clock.Clock
      const now = () => clock.currentTimeMillisUnsafe()
      const wheel = new FlushWheel()
      const metrics = yield* Metrics
      const beating = new Set<Beating>()
      const open = new Map<string, number>()
      const count = (one: Beating, by: 1 | -1) => {
        if (one.dialect === null) return
        const streams = (open.get(one.dialect) ?? 0) + by
        open.set(one.dialect, streams)
        metrics.gauge("sluice_streams", { dialect: one.dialect }, streams)
      }
      const beatAll = () => {
        let paused = 0
        for (const one of beating) {
          if (one.isPaused) paused++
          one.beat(now())
        }
        metrics.gauge("sluice_streams_paused", {}, paused)
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => setInterval(beatAll, Math.max(1, heartbeat.everyMs / 2)).unref()),
        (timer) =>
          Effect.sync(() => {
            clearInterval(timer)
            wheel.stop()
          }),
      )
      return Pacer.of({
        pace: (paced) => wheel.pace(paced),
        join: (one) => {
          if (!beating.has(one)) count(one, 1)
          beating.add(one)
        },
        leave: (one) => {
          if (beating.delete(one)) count(one, -1)
        },
        now,
      })
    }),
  )
}
