// One simulated process: its own wall clock, timers and turns of the event loop. It can be stopped
// and continued, as by SIGSTOP and SIGCONT, and killed: then nothing of it ever happens again.
import { Clock, Context, Duration, Effect, Random, References, Scheduler } from "effect"
import type { Simulation } from "./Simulation.ts"

/** How long a turn of an event loop takes. */
const turnMsMax = 0.02

export interface Timer {
  isCleared: boolean
}

export class Machine {
  readonly name: string
  readonly #simulation: Simulation
  #immediates: Array<{ readonly timer: Timer; readonly run: () => void }> = []
  #held: Array<() => void> = []
  #isUp = true
  #isStopped = false
  #skewMs = 0
  readonly #deaths: Array<() => void> = []
  readonly #stops: Array<() => void> = []
  readonly #continues: Array<() => void> = []
  readonly #context: Context.Context<never>

  constructor(simulation: Simulation, name: string) {
    this.#simulation = simulation
    this.name = name
    this.#context = this.#makeContext()
  }

  get isUp(): boolean {
    return this.#isUp
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  /** ms since the epoch, by its own wall clock. */
  readonly now = (): number => Math.floor(this.#simulation.now + this.#skewMs)

  /** Its wall clock is set; its timers do not notice. */
  jump(toSkewMs: number): void {
    this.#skewMs = toSkewMs
  }

  /** Runs here after a while: a timer, or something that comes from elsewhere. */
  readonly after = (ms: number, run: () => void): Timer => {
    const timer: Timer = { isCleared: false }
    this.#simulation.plan(ms, () => {
      if (!timer.isCleared) this.enter(run)
    })
    return timer
  }

  /** At the end of this turn of its event loop. */
  soon(run: () => void): Timer {
    const timer: Timer = { isCleared: false }
    this.#immediates.push({ timer, run })
    if (this.#immediates.length === 1) {
      this.#simulation.plan(this.#simulation.draw.next() * turnMsMax, () => {
        this.enter(() => this.#turn())
      })
    }
    return timer
  }

  /** Runs now, as code of this machine; later where it is stopped; never where it is dead. */
  enter(run: () => void): void {
    if (!this.#isUp) return
    if (this.#isStopped) {
      this.#held.push(run)
      return
    }
    const before = this.#simulation.current
    this.#simulation.current = this
    try {
      run()
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.#simulation.uncaught.push(`${this.name}: ${text}`)
    } finally {
      this.#simulation.current = before
    }
  }

  /** Runs an effect here, with this machine's clock and chance. */
  fork<A, E>(effect: Effect.Effect<A, E>): void {
    this.enter(() => {
      Effect.runForkWith(this.#context)(
        effect.pipe(
          Effect.catchCause((cause) =>
            Effect.sync(() => this.#simulation.uncaught.push(`${this.name}: ${cause}`)),
          ),
        ),
      )
    })
  }

  stop(): void {
    if (!this.#isUp || this.#isStopped) return
    this.#isStopped = true
    for (const run of this.#stops) run()
  }

  continue(): void {
    if (!this.#isUp || !this.#isStopped) return
    this.#isStopped = false
    const held = this.#held
    this.#held = []
    for (const run of held) this.#simulation.plan(0, () => this.enter(run))
    for (const run of this.#continues) run()
  }

  kill(): void {
    if (!this.#isUp) return
    this.#isUp = false
    this.#held = []
    this.#immediates = []
    for (const run of this.#deaths) run()
  }

  /** Called from outside of the machine, at once. */
  onDeath(run: () => void): void {
    this.#deaths.push(run)
  }

  onStop(run: () => void): void {
    this.#stops.push(run)
  }

  onContinue(run: () => void): void {
    this.#continues.push(run)
  }

  #turn(): void {
    const due = this.#immediates
    this.#immediates = []
    for (const { timer, run } of due) if (!timer.isCleared) this.enter(run)
  }

  #makeContext(): Context.Context<never> {
    const { now } = this
    const nanos = () => BigInt(Math.floor(this.#simulation.now * 1e6))
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: now,
      currentTimeMillis: Effect.sync(now),
      currentTimeNanosUnsafe: () => BigInt(now()) * 1_000_000n,
      currentTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) =>
        Effect.callback((resume) => {
          const timer = this.after(Duration.toMillis(duration), () => resume(Effect.void))
          return Effect.sync(() => {
            timer.isCleared = true
          })
        }),
    }
    const { draw } = this.#simulation
    return Context.empty().pipe(
      Context.add(Clock.Clock, clock),
      Context.add(Random.Random, {
        nextDoubleUnsafe: draw.next,
        nextIntUnsafe: () => Math.floor((draw.next() - 0.5) * 2 ** 53),
      }),
      Context.add(References.MinimumLogLevel, "None"),
      // Of its own, so that no turn of another machine runs what waits here.
      Context.add(Scheduler.Scheduler, new Scheduler.MixedScheduler()),
    )
  }
}
