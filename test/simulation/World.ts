// One simulated deployment: the shared log, gateways, workers and clients of a seed, and what may
// be done to them. A process that dies is started again after a while, as a supervisor would.
import type { RequestDraft } from "../../src/enqueue/Enqueue.ts"
import type { Log } from "../../streams/Log.ts"
import { workerGroup } from "../../streams/topics.ts"
import type { Mark } from "../support/checker/check.ts"
import type { HistoryLine } from "../support/checker/history.ts"
import { readMarks } from "../support/checker/readLogs.ts"
import { Effect } from "effect"
import { Log as LogTag } from "../../streams/Log.ts"
import { type ClientEnd, Connection } from "./Connection.ts"
import { drawClients } from "./drafts.ts"
import { type Fate, faultyLog, type FaultyLogOptions } from "./FaultyLog.ts"
import { Gateway } from "./gateway.ts"
import type { Machine } from "./Machine.ts"
import { drawSettings, type Settings } from "./settings.ts"
import { SharedLog } from "./SharedLog.ts"
import { SimulatedClient } from "./SimulatedClient.ts"
import type { Simulation } from "./Simulation.ts"
import { SimulatedWorker } from "./worker.ts"

export const group = workerGroup("scripted", "1")

/** However many troubles come together: a message that is later is lost, and sent again. */
const latencyMsMax = 2_000

interface Slot<A> {
  readonly name: string
  starts: number
  now: A | null
}

const slots = <A>(name: string, count: number): ReadonlyArray<Slot<A>> =>
  Array.from({ length: count }, (_, i) => ({ name: `${name}-${i}`, starts: 0, now: null }))

export class World {
  readonly simulation: Simulation
  readonly settings: Settings
  readonly shared: SharedLog
  readonly clientMachine: Machine
  readonly workers: ReadonlyArray<Slot<SimulatedWorker>>
  readonly gateways: ReadonlyArray<Slot<Gateway>>
  readonly clients: Array<SimulatedClient> = []
  readonly history: Array<HistoryLine> = []
  readonly marks: Array<Mark> = []
  readonly faults: Array<string> = []
  readonly counts: Map<string, number>
  /** By idempotency key: the ids under which clients were told success. */
  readonly keyed = new Map<string, Set<string>>()
  isRough = true
  latencyFactor = 1
  /** How much later a machine hears what comes to the log, at most: its tails lag, ms. */
  readonly lags = new Map<Machine, number>()
  /** How many times as long everything between a machine and the log takes. */
  readonly slows = new Map<Machine, number>()
  /** Consumers that hear of what is on its way into the log. */
  readonly #early: FaultyLogOptions["early"] = new Set()

  constructor(simulation: Simulation, counts: Map<string, number>) {
    this.simulation = simulation
    this.counts = counts
    this.settings = drawSettings(simulation.draw)
    const { requestPartitions, tokenPartitions, workers, gateways } = this.settings
    this.shared = new SharedLog(simulation.machine("log"), {
      requestPartitions,
      tokenPartitions,
      retentionMs: 3_600_000,
      retentionBytes: 1 << 30,
    })
    this.clientMachine = simulation.machine("clients")
    this.workers = slots("worker", workers)
    this.gateways = slots("gateway", gateways)
  }

  readonly count = (what: string, by = 1): void => {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by)
  }

  startWorker(slot: Slot<SimulatedWorker>): void {
    const machine = this.#machine(slot, () => this.startWorker(slot))
    const { config, engine } = this.settings
    slot.now = new SimulatedWorker({
      machine,
      log: this.#logFor(machine),
      config,
      engine,
      poisonAfterMs: this.simulation.draw.next,
      onPoisoned: () => this.count("poisoned"),
    })
  }

  startGateway(slot: Slot<Gateway>): void {
    const machine = this.#machine(slot, () => this.startGateway(slot))
    slot.now = new Gateway(machine, this.#logFor(machine), this.settings.config)
  }

  startClients(): void {
    const { clientMachine, simulation, settings } = this
    const plans = drawClients(simulation.draw, settings, clientMachine.now)
    for (const [i, plan] of plans.entries()) {
      const client = this.newClient(`client-${i}`, plan)
      clientMachine.after(plan.startsAfterMs, () => client.start())
    }
  }

  newClient(name: string, plan: ConstructorParameters<typeof SimulatedClient>[1]): SimulatedClient {
    const client = new SimulatedClient(name, plan, {
      draw: this.simulation.draw,
      machine: this.clientMachine,
      ask: (draft, one) => this.#connect(one, (gateway, to) => this.#ask(gateway, draft, one, to)),
      resume: (id, cursor, one) =>
        this.#connect(one, (gateway, to) => gateway.resume(id, cursor, to)),
      cancel: (id, one) => this.#cancel(id, one),
      note: this.#note,
      count: this.count,
      lacks: (requestId, { name: one }) => {
        if (this.shared.damaged.has(requestId)) this.count("gapRefused")
        else this.faults.push(`${one}: the log lacks a part of ${requestId}`)
      },
      fault: (message) => void this.faults.push(message),
    })
    this.clients.push(client)
    return client
  }

  /** Marks that are committed now, and where the tokens end now. */
  look(): void {
    this.shared.machine.fork(
      Effect.map(readMarks(group), (marks) => void this.marks.push(...marks)).pipe(
        Effect.provideService(LogTag, this.shared.log),
      ),
    )
  }

  get isEveryoneDone(): boolean {
    return this.clients.every((client) => client.isDone)
  }

  get isEverythingOver(): boolean {
    const { requests, fold } = this.shared
    for (const requestId of requests.keys()) {
      if (fold.canons.get(requestId)?.terminal == null) return false
    }
    return true
  }

  #ask(gateway: Gateway, draft: RequestDraft, _: SimulatedClient, to: Connection): void {
    gateway.create(draft, to)
  }

  readonly #note = (line: HistoryLine): void => {
    this.history.push(line)
    const { requests, fold } = this.shared
    if (line.kind === "accepted" && !requests.has(line.requestId)) {
      this.faults.push(`${line.client} was told success before ${line.requestId} was durable`)
    }
    if (line.kind === "accepted") this.#noteKey(line.client, line.requestId)
    if (line.kind !== "event") return
    const logged = fold.canons.get(line.requestId)?.events.length ?? 0
    if (line.cursor > logged) {
      const what = `event ${line.cursor} of ${line.requestId}`
      this.faults.push(`${line.client} saw ${what} when the log had ${logged}`)
    }
  }

  #noteKey(client: string, requestId: string): void {
    const key = this.clients.find(({ name }) => name === client)?.plan.draft.idempotency?.key
    if (key === undefined) return
    const ids = this.keyed.get(key) ?? new Set()
    this.keyed.set(key, ids.add(requestId))
  }

  /** A process of the slot; it starts again when it has died. */
  #machine<A extends { readonly machine: Machine }>(slot: Slot<A>, start: () => void): Machine {
    const machine = this.simulation.machine(`${slot.name}.${slot.starts++}`)
    machine.onDeath(() => {
      slot.now = null
      this.simulation.plan(this.simulation.draw.between(5, 300), start)
    })
    return machine
  }

  #logFor(client: Machine): Log["Service"] {
    const { draw } = this.simulation
    const { settings, shared } = this
    const chance = (probability: number) => this.isRough && draw.chance(probability)
    const fate = (): Fate => {
      if (!this.isRough) return "well"
      let left = draw.next()
      for (const one of ["unsent", "requestLost", "ackLost", "twice", "late"] as const) {
        left -= settings[one]
        if (left < 0) return one
      }
      return "well"
    }
    return faultyLog({
      early: this.#early,
      base: shared.log,
      leaders: shared.leaders,
      broker: shared.machine,
      client,
      count: this.count,
      faults: {
        latencyMs: () => Math.min(latencyMsMax, this.#latencyMs() * (this.slows.get(client) ?? 1)),
        lagMs: () => draw.next() * (this.lags.get(client) ?? 0),
        fate,
        timeoutMs: settings.timeoutMs,
        sessionMs: settings.sessionMs,
        losesCommit: () => chance(settings.commitLost),
        portion: (count) => 1 + draw.below(count),
      },
    })
  }

  readonly #latencyMs = (): number => {
    const { draw } = this.simulation
    const most = this.settings.latencyMs * this.latencyFactor
    return draw.chance(0.02) ? draw.between(0, most * 20) : draw.between(0, most)
  }

  #connect(
    client: SimulatedClient,
    serve: (gateway: Gateway, to: Connection) => void,
    end: ClientEnd = client,
  ): Connection | null {
    const { draw } = this.simulation
    const there = this.gateways.flatMap(({ now }) => (now?.isReady === true ? [now] : []))
    if (there.length === 0) return null
    const gateway = draw.pick(there)
    const connection = new Connection({
      simulation: this.simulation,
      gateway: gateway.machine,
      client: this.clientMachine,
      end,
      windowBytes: client.plan.isSlow ? 200 : 64_000,
      readMs: () => (client.plan.isSlow ? draw.between(0, 30) : 0),
      latencyMs: this.#latencyMs,
    })
    gateway.machine.after(this.#latencyMs(), () => serve(gateway, connection))
    return connection
  }

  #cancel(requestId: string, client: SimulatedClient): Connection | null {
    this.count("cancelAsked")
    const end: ClientEnd = {
      onBytes: () => {},
      onEnd: () => {},
      onHead: ({ kind }) => {
        if (kind !== "cancelled") return
        const at = this.clientMachine.now()
        this.#note({ kind: "cancelled", client: client.name, requestId, at })
        if (this.shared.fold.canons.get(requestId)?.terminal == null) {
          this.faults.push(`a cancel of ${requestId} was acknowledged before it was settled`)
        }
      },
    }
    return this.#connect(client, (gateway, to) => gateway.cancel(requestId, to), end)
  }
}
