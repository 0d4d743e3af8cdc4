// The processes that are tortured: gateways and workers of one deployment, each started again when
// it has died, and the faults that may come over them.
import { setTimeout as sleep } from "node:timers/promises"
import { FaultProxy } from "../support/FaultProxy.ts"
import type { Sluice } from "../support/server.ts"
import type { Link } from "./Network.ts"

export type Kind = "gateway" | "worker"

export type FaultName = "kill worker" | "kill gateway" | "stop worker" | "stop gateway"

/** What happened, for the report. */
export interface Fault {
  readonly name: string
  /** ms since the epoch */
  readonly at: number
}

interface Seat {
  readonly kind: Kind
  sluice: Sluice | null
  isStopped: boolean
  /** Between clients and a gateway: it stays when the gateway is another. */
  proxy: FaultProxy | null
}

export interface FleetOptions {
  readonly gateways: number
  readonly workers: number
  readonly start: (kind: Kind) => Promise<Sluice>
  readonly below: (count: number) => number
  readonly now: () => number
}

/** Of so many faults that would hit the last of a kind one does. */
const lastSpared = 8

/** How long a process is stopped: shorter and longer than sessions are. */
const stopMsLeast = 200
const stopMsMost = 4_000

export class Fleet {
  readonly #options: FleetOptions
  readonly #seats: ReadonlyArray<Seat>
  readonly faults: Array<Fault> = []
  readonly #starting = new Set<Promise<void>>()
  #isEnding = false

  constructor(options: FleetOptions) {
    this.#options = options
    const seats = (kind: Kind, count: number): ReadonlyArray<Seat> =>
      Array.from({ length: count }, () => ({ kind, sluice: null, isStopped: false, proxy: null }))
    this.#seats = [...seats("gateway", options.gateways), ...seats("worker", options.workers)]
  }

  async start(): Promise<void> {
    for (const seat of this.#seats) {
      if (seat.kind === "gateway") seat.proxy = await FaultProxy.listen()
    }
    await Promise.all(this.#seats.map((seat) => this.#start(seat)))
  }

  /** Clients' ways to the gateways. */
  get links(): ReadonlyArray<Link> {
    return this.#seats.flatMap(({ proxy }) =>
      proxy === null ? [] : [{ name: "client link", proxy }],
    )
  }

  /** The way to some gateway that runs; null: none does. */
  readonly url = (): string | null => {
    const there = this.#running("gateway").filter(({ isStopped }) => !isStopped)
    const proxy = there[this.#options.below(there.length)]?.proxy
    return proxy ? `http://127.0.0.1:${proxy.port}` : null
  }

  /**
   * Does it to some process; false where there is none to do it to. The last of its kind is spared,
   * but for once in a while.
   */
  apply(name: FaultName): boolean {
    const kind = name.endsWith("worker") ? "worker" : "gateway"
    const running = this.#running(kind).filter(({ isStopped }) => !isStopped)
    const seat = running[this.#options.below(running.length)]
    if (seat === undefined || seat.sluice === null) return false
    if (running.length === 1 && this.#options.below(lastSpared) > 0) return false
    this.note(name)
    if (name.startsWith("kill")) this.#kill(seat, seat.sluice)
    else this.#stop(seat, seat.sluice)
    return true
  }

  note(name: string): void {
    this.faults.push({ name, at: this.#options.now() })
  }

  /** All run again, and nothing happens to them any more. */
  async heal(): Promise<void> {
    for (const seat of this.#seats) this.#continue(seat)
    while (this.#starting.size > 0) await Promise.all(this.#starting)
  }

  async end(): Promise<void> {
    this.#isEnding = true
    await this.heal()
    await Promise.all(this.#seats.map(async ({ sluice }) => sluice?.stop()))
    for (const { proxy } of this.#seats) proxy?.close()
  }

  #running(kind: Kind): ReadonlyArray<Seat> {
    return this.#seats.filter((seat) => seat.kind === kind && seat.sluice !== null)
  }

  async #start(seat: Seat): Promise<void> {
    const sluice = await this.#options.start(seat.kind)
    seat.sluice = sluice
    seat.isStopped = false
    if (seat.proxy !== null) seat.proxy.target = sluice.port
    void sluice.ended.then((code) => {
      if (seat.sluice !== sluice) return
      seat.sluice = null
      if (this.#isEnding) return
      // It went by itself: what was in flight goes on elsewhere, and a supervisor starts it again.
      this.note(`${seat.kind} ended by itself with ${code}`)
      this.#again(seat)
    })
  }

  #kill(seat: Seat, sluice: Sluice): void {
    seat.sluice = null
    sluice.child.kill("SIGKILL")
    this.#again(seat)
  }

  #again(seat: Seat): void {
    const start = sleep(this.#options.below(300)).then(() => this.#start(seat))
    this.#starting.add(start)
    void start.finally(() => this.#starting.delete(start))
  }

  #stop(seat: Seat, sluice: Sluice): void {
    seat.isStopped = true
    sluice.child.kill("SIGSTOP")
    const ms = stopMsLeast + this.#options.below(stopMsMost - stopMsLeast)
    setTimeout(() => {
      if (seat.sluice === sluice) this.#continue(seat)
    }, ms)
  }

  #continue(seat: Seat): void {
    if (!seat.isStopped) return
    seat.isStopped = false
    seat.sluice?.child.kill("SIGCONT")
  }
}
