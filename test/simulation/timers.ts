// The timers of the language, for as long as a simulation runs: what any code sets belongs to the
// machine that runs it. The simulation runs in one go, so nobody else's timers are touched.
import type { Machine, Timer } from "./Machine.ts"
import type { Simulation } from "./Simulation.ts"

type Callback = (...args: ReadonlyArray<unknown>) => void

/** What the language's own timers offer, as far as anyone uses it. */
class SimulatedTimer {
  readonly #timer: Timer

  constructor(timer: Timer) {
    this.#timer = timer
  }

  clear(): void {
    this.#timer.isCleared = true
  }

  get isCleared(): boolean {
    return this.#timer.isCleared
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }
}

const clear = (timer: unknown): void => {
  if (timer instanceof SimulatedTimer) timer.clear()
}

const names = [
  "setTimeout",
  "clearTimeout",
  "setInterval",
  "clearInterval",
  "setImmediate",
  "clearImmediate",
] as const

/** Runs `body` with simulated timers, and gives the real ones back whatever happens. */
export const withTimersOf = <A>(simulation: Simulation, body: () => A): A => {
  const here = (): Machine => {
    if (simulation.current === null) throw new Error("a timer was set outside of every machine")
    return simulation.current
  }
  const repeat = (machine: Machine, ms: number, run: () => void): SimulatedTimer => {
    const handle: Timer = { isCleared: false }
    const timer = new SimulatedTimer(handle)
    const again = () => {
      machine.after(Math.max(1, ms), () => {
        if (handle.isCleared) return
        run()
        again()
      })
    }
    again()
    return timer
  }
  const simulated: Record<(typeof names)[number], unknown> = {
    setTimeout: (run: Callback, ms = 1, ...args: ReadonlyArray<unknown>) =>
      new SimulatedTimer(here().after(Math.max(1, ms), () => run(...args))),
    setInterval: (run: Callback, ms = 1, ...args: ReadonlyArray<unknown>) =>
      repeat(here(), ms, () => run(...args)),
    setImmediate: (run: Callback, ...args: ReadonlyArray<unknown>) =>
      new SimulatedTimer(here().soon(() => run(...args))),
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear,
  }
  const real = names.map(
    (name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const,
  )
  for (const name of names) {
    Object.defineProperty(globalThis, name, {
      value: simulated[name],
      configurable: true,
      writable: true,
    })
  }
  try {
    return body()
  } finally {
    for (const [name, descriptor] of real) {
      if (descriptor !== undefined) Object.defineProperty(globalThis, name, descriptor)
    }
  }
}
