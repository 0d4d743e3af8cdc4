// What goes wrong in one run and when: each trouble of the seed's settings at its own instants
// within the rough time, and then peace: whatever is stopped goes on, and nothing is lost any more.
import { Exit, Scope } from "effect"
import { codecs } from "../../schemas/codec.ts"
import { requestTopic, tiers, tokenTopic } from "../../streams/topics.ts"
import type { Machine } from "./Machine.ts"
import type { Troubles } from "./settings.ts"
import { group, type World } from "./World.ts"

/** Clocks of processes may differ by so much: what the token log's readers allow for. */
const skewMsMax = 900

/** How often somebody looks at what is committed. */
const looks = 12

const workerOf = ({ workers, simulation }: World) => simulation.draw.pick(workers).now

const gatewayOf = ({ gateways, simulation }: World) => simulation.draw.pick(gateways).now

const stop = (world: World, machine: Machine | undefined): void => {
  if (machine === undefined) return
  world.count("stopped")
  machine.stop()
  const { draw } = world.simulation
  const ms = draw.between(5, world.settings.sessionMs * 2)
  world.simulation.plan(ms, () => machine.continue())
}

const kill = (world: World, machine: Machine | undefined): void => {
  if (machine === undefined) return
  world.count("killed")
  machine.kill()
}

const loseLeader = (world: World): void => {
  const { draw } = world.simulation
  const { tokenPartitions, requestPartitions } = world.settings
  const topic = draw.chance(0.6) ? tokenTopic : requestTopic("scripted", "1", draw.pick(tiers))
  const width = topic === tokenTopic ? tokenPartitions : requestPartitions
  world.count("leaderChanged")
  world.shared.leaders.leave({ topic, partition: draw.below(width) }, draw.between(10, 400))
}

/** A member that comes, takes its part of the partitions, does nothing with it, and leaves. */
const haunt = (world: World): void => {
  const { shared, simulation } = world
  const scope = Scope.makeUnsafe()
  const member = `ghost-${simulation.draw.below(1 << 30)}`
  world.count("rebalanced")
  const joined = shared.log.consume({
    group,
    member,
    topics: tiers.map((tier) => requestTopic("scripted", "1", tier)),
    slots: 1 + simulation.draw.below(64),
    handler: { onAssigned: () => {}, onRecords: () => {}, onError: () => {} },
  })
  shared.machine.fork(Scope.provide(joined, scope))
  simulation.plan(simulation.draw.between(10, 400), () => {
    shared.machine.fork(Scope.close(scope, Exit.void))
  })
}

/** A producer that retries may send the same record once more. */
const produceAgain = (world: World): void => {
  const { shared, simulation } = world
  const known = [...shared.requests.values()]
  if (known.length === 0) return
  const { request, at } = simulation.draw.pick(known)
  world.count("producedTwice")
  shared.machine.enter(() => {
    const record = { key: null, value: codecs.requestAccepted.encode(request) }
    shared.log.appendThen(at, [record], () => {})
  })
}

const storm = (world: World): void => {
  world.count("storm")
  world.latencyFactor = 20
  world.simulation.plan(world.simulation.draw.between(20, 300), () => {
    world.latencyFactor = 1
  })
}

/** One machine hears from the log late, or is slow both ways, while the others are not. */
const hold = (world: World, held: "lags" | "slows", most: number): void => {
  const { draw } = world.simulation
  const machine = draw.chance(0.5) ? workerOf(world)?.machine : gatewayOf(world)?.machine
  if (machine === undefined) return
  world.count(held)
  world[held].set(machine, draw.between(5, most))
  world.simulation.plan(draw.between(20, 400), () => world[held].delete(machine))
}

const jump = (world: World): void => {
  const { draw } = world.simulation
  const machine = draw.chance(0.5) ? workerOf(world)?.machine : gatewayOf(world)?.machine
  if (machine === undefined) return
  world.count("clockJumped")
  machine.jump(draw.between(-skewMsMax, skewMsMax))
}

const happen: Readonly<Record<keyof Troubles, (world: World) => void>> = {
  kills: (world) => kill(world, workerOf(world)?.machine),
  stops: (world) => stop(world, workerOf(world)?.machine),
  leaves: (world) => {
    world.count("drained")
    workerOf(world)?.leave()
  },
  gatewayKills: (world) => kill(world, gatewayOf(world)?.machine),
  gatewayStops: (world) => stop(world, gatewayOf(world)?.machine),
  leaderChanges: loseLeader,
  jumps: jump,
  ghosts: haunt,
  storms: storm,
  lags: (world) => hold(world, "lags", 250),
  slows: (world) => hold(world, "slows", 100),
  enginesLost: (world) => {
    const worker = workerOf(world)
    worker?.machine.enter(() => worker.scripted.lose("the device fell off the bus"))
  },
  sequencesFailed: (world) => {
    const worker = workerOf(world)
    const handle = 1 + world.simulation.draw.below(6)
    worker?.machine.enter(() => worker.scripted.fail(handle))
  },
  producedTwice: produceAgain,
}

const isTrouble = (name: string): name is keyof Troubles => name in happen

/** Plans everything that goes wrong. */
export const planTroubles = (world: World): void => {
  const { simulation, settings } = world
  const { roughMs, troubles } = settings
  for (const [name, times] of Object.entries(troubles)) {
    if (!isTrouble(name)) continue
    for (let i = 0; i < times; i++) {
      simulation.plan(simulation.draw.between(0, roughMs), () => happen[name](world))
    }
  }
  for (let i = 0; i < looks; i++) {
    simulation.plan(simulation.draw.between(0, roughMs * 1.5), () => world.look())
  }
}

/** From now on all goes well. */
export const makePeace = (world: World): void => {
  world.isRough = false
  world.latencyFactor = 1
  world.lags.clear()
  world.slows.clear()
  for (const { now } of [...world.workers, ...world.gateways]) now?.machine.continue()
}
