// One seed from its beginning to its judgement: start, rough time, peace, everybody's answer read
// once more from cursors that were given out, and then the checker over logs and histories.
import { Effect } from "effect"
import { Log } from "../../streams/Log.ts"
import { isRequestTopic } from "../../streams/topics.ts"
import { check, type CheckedLogs, violationText } from "../support/checker/check.ts"
import { readLogs } from "../support/checker/readLogs.ts"
import type { FrameRecord, Place } from "../support/checker/referenceFold.ts"
import { letters } from "../support/generate.ts"
import { undisturbed } from "./oracle.ts"
import { Simulation } from "./Simulation.ts"
import { withTimersOf } from "./timers.ts"
import { makePeace, planTroubles } from "./troubles.ts"
import { group, World } from "./World.ts"

export interface Verdict {
  readonly seed: number
  /** Empty where everything held. */
  readonly faults: ReadonlyArray<string>
  readonly events: number
  /** Simulated. */
  readonly tookMs: number
}

const startMsMax = 20_000
const overMsMax = 180_000
const commitMsMax = 20_000
const readAgainMsMax = 120_000
/** The longest that a record may be on its way: one message, or a leader's absence. */
const onItsWayMsMax = 2_500
/** Past a deadline: a restart, a session, and a worker's next look. */
const lateMsMax = 12_000
/** How much of each token partition is kept where retention is tried. */
const forgottenBytes = 400

const start = (world: World): void => {
  const { simulation, shared } = world
  simulation.runUntil(() => shared.isReady, startMsMax)
  for (const slot of world.gateways) world.startGateway(slot)
  for (const slot of world.workers) world.startWorker(slot)
  world.isRough = false
  const isUp = () => [...world.gateways, ...world.workers].every(({ now }) => now?.isReady === true)
  if (!simulation.runUntil(isUp, startMsMax)) world.faults.push("not everything started")
  world.isRough = true
}

/**
 * A first claim that came a second time, from a loser or as a copy, looks like the beginning when
 * retention has passed the one that counted: that the rest is as good as gone cannot be told.
 */
const beginsTwice = (world: World, requestId: string): boolean =>
  world.shared.fold.canons
    .get(requestId)
    ?.voids.some(({ entry }) => entry.kind === "AttemptClaimed" && entry.attempt === 1) === true

/** Requests once more, each from a cursor that was given out, on some gateway. */
const readAgain = (
  world: World,
  tag: string,
  isWanted: (requestId: string) => boolean = () => true,
): void => {
  const { simulation, history } = world
  const cursors = Map.groupBy(
    history.filter((line) => line.kind === "event"),
    ({ requestId }) => requestId,
  )
  for (const requestId of [...world.shared.requests.keys()].filter(isWanted)) {
    const given = [0, ...(cursors.get(requestId) ?? []).map(({ cursor }) => cursor)]
    const [first] = world.clients
    if (first === undefined) return
    const calm = { cuts: 0, isSlow: false, cancelsAfter: null, leavesAfter: null }
    const watcher = world.newClient(`${tag}-${requestId.slice(-6)}`, { ...first.plan, ...calm })
    world.clientMachine.enter(() => watcher.watch(requestId, simulation.draw.pick(given)))
  }
  if (!simulation.runUntil(() => world.isEveryoneDone, readAgainMsMax)) {
    const waiting = world.clients.filter(({ isDone }) => !isDone).map(({ name }) => name)
    world.faults.push(`still waiting for the rest of an answer: ${waiting.join(", ")}`)
  }
}

const readAll = (world: World): CheckedLogs | null => {
  let logs: CheckedLogs | null = null
  const { shared, simulation } = world
  shared.machine.fork(
    Effect.map(readLogs(group, world.marks), (read) => {
      logs = read
    }).pipe(Effect.provideService(Log, shared.log)),
  )
  simulation.runUntil(() => logs !== null, 1_000)
  return logs
}

const allCommitted = (world: World): (() => boolean) => {
  let isAll = false
  let isAsking = false
  const { shared } = world
  const ask = Effect.gen(function* () {
    const { log } = shared
    let left = 0
    for (const { name: topic, partitions } of yield* log.topics) {
      for (let partition = 0; isRequestTopic(topic) && partition < partitions; partition++) {
        const { next } = yield* log.bounds({ topic, partition })
        if (next > 0) left += next - ((yield* log.committed(group, { topic, partition })) ?? 0)
      }
    }
    isAll = left === 0
    isAsking = false
  })
  return () => {
    if (!isAsking && !isAll) {
      isAsking = true
      shared.machine.after(50, () => shared.machine.fork(ask))
    }
    return isAll
  }
}

const tally = (world: World): void => {
  const { count, shared, clients } = world
  for (const { terminal, claims, voids } of shared.fold.canons.values()) {
    if (terminal !== null) count(terminal.outcome)
    if (claims > 1) count("adopted")
    for (const { why, entry } of voids) {
      if (why === "stale" && entry.kind === "AttemptClaimed") count("claimRefused")
      else if (why === "stale") count("fenced")
      else if (why === "repeated") count("duplicateDropped")
      else if (why === "late") count("lateDropped")
    }
  }
  for (const { requestId } of clients) if (requestId === null) count("gaveUp")
}

const judge = (world: World, logs: CheckedLogs): void => {
  const { settings, history, faults, keyed } = world
  const options = {
    undisturbed: undisturbed(settings.engine),
    facts: letters,
    lateMsMax,
    claimsMax: settings.config.worker.claimsMax,
  }
  faults.push(...check(logs, history, options).map(violationText))
  for (const [key, ids] of keyed) {
    // One that a gateway settled in its place before it could run gives way to the next.
    const ran = [...ids].filter((id) => (world.shared.fold.canons.get(id)?.claims ?? 0) > 0)
    if (ran.length > 1) faults.push(`one key, several requests: ${key}: ${ran.join(", ")}`)
  }
}

/** A record without which the tokens that follow hang in the air, in each of its requests. */
const isBetween = (world: World, { frame, partition, offset }: FrameRecord): boolean => {
  const entries = frame?.entries ?? []
  return (
    entries.length > 0 &&
    entries.every((entry) => {
      const canon = world.shared.fold.canons.get(entry.requestId)
      if (canon === undefined || entry.kind !== "TokensGenerated") return false
      const places = canon.places.filter((_, i) => {
        const event = canon.events[i]
        return event?.kind === "token" && event.choice === entry.choice
      })
      const isItself = (at: Place) => at.partition === partition && at.offset === offset
      const last = places.findLastIndex(isItself)
      return last >= 0 && last < places.length - 1
    })
  )
}

/** A gap in the log of what was given out before: whoever reads over it is told. */
const damage = (world: World, logs: CheckedLogs): void => {
  const between = logs.tokens.filter((record) => isBetween(world, record))
  if (between.length === 0 || !world.simulation.draw.chance(0.2)) return
  world.shared.damage(world.simulation.draw.pick(between))
  readAgain(world, "damaged")
}

/** Everybody has an answer, and all that was accepted is over and committed. */
const settle = (world: World): void => {
  const { simulation } = world
  const isOver = () => world.isEveryoneDone && world.isEverythingOver
  if (!simulation.runUntil(isOver, overMsMax)) {
    const open = [...world.shared.requests.keys()].filter(
      (id) => world.shared.fold.canons.get(id)?.terminal == null,
    )
    const waiting = world.clients.filter(({ isDone }) => !isDone).map(({ name }) => name)
    world.faults.push(`never over: ${open.join(", ")}; waiting: ${waiting.join(", ")}`)
  }
  if (!simulation.runUntil(allCommitted(world), commitMsMax)) {
    world.faults.push("what is over was never committed")
  }
}

const play = (world: World): void => {
  const { simulation, settings } = world
  start(world)
  world.startClients()
  planTroubles(world)
  simulation.runUntil(() => false, settings.roughMs * 1.5)
  makePeace(world)
  // A record that was long on its way may come when all seemed over: then it is not.
  for (let seen = -1; seen !== world.shared.requests.size;) {
    seen = world.shared.requests.size
    settle(world)
    simulation.runUntil(() => world.shared.requests.size !== seen, onItsWayMsMax)
  }
  readAgain(world, "again")
  settle(world)
  const logs = readAll(world)
  if (logs === null) world.faults.push("the logs could not be read")
  if (logs !== null) damage(world, logs)
  if (settings.retains) {
    world.shared.forget(forgottenBytes)
    simulation.runUntil(() => false, 1_000)
    readAgain(world, "late", (requestId) => !beginsTwice(world, requestId))
  }
  if (logs !== null) judge(world, logs)
  tally(world)
}

export const simulate = (seed: number, counts: Map<string, number>): Verdict => {
  const simulation = new Simulation(seed)
  const startedAt = simulation.now
  return withTimersOf(simulation, () => {
    const world = new World(simulation, counts)
    play(world)
    return {
      seed,
      faults: [...world.faults, ...simulation.uncaught],
      events: simulation.events,
      tookMs: simulation.now - startedAt,
    }
  })
}
