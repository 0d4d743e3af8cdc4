// Workers that come, leave and die at random over requests that are cancelled, expire or come
// twice: every request ends once, every transcript is a prefix of the undisturbed one and the whole
// of it where it finished, and nothing is committed that is not over. SLUICE_SEED replays a run.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { RequestAccepted } from "../../schemas/types.ts"
import { foldEntries } from "../support/foldEntries.ts"
import { accepted } from "../support/generate.ts"
import { isEnded, makeWorld } from "../support/workerWorld.ts"

const firstSeed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000)
const rounds = Number(process.env["SLUICE_ROUNDS"] ?? 6)

const makeRandom = (seed: number) => {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % below
  }
}

const tiers = ["priority", "default", "flex"] as const

const makeRequests = (random: (below: number) => number): ReadonlyArray<RequestAccepted> =>
  Array.from({ length: 40 }, (_, i) =>
    accepted(
      { maxTokens: 1 + random(60), temperature: random(2), seed: i },
      {
        prompts: [[97 + (i % 26), 98]],
        n: 1 + random(2),
        tier: tiers[random(3)]!,
        ...(random(12) === 0 ? { deadline: Date.now() + 300 } : {}),
      },
    ),
  )

/** What each request says when nothing goes wrong: ids by choice. */
const undisturbed = Effect.fnUntraced(function* (requests: ReadonlyArray<RequestAccepted>) {
  const world = yield* makeWorld
  const worker = yield* world.worker({ engine: { stepIntervalMs: 0 } })
  const expected = new Map<string, ReadonlyArray<ReadonlyArray<number>>>()
  for (const request of requests) {
    yield* world.send({ ...request, deadline: Date.now() + 600_000 })
  }
  for (const { requestId } of requests) {
    const { choices } = yield* world.until(requestId, isEnded)
    expected.set(
      requestId,
      choices.map(({ ids }) => ids),
    )
  }
  yield* worker.stop
  return expected
})

interface Sent {
  readonly request: RequestAccepted
  readonly partition: number
  readonly offset: number
}

type World = Effect.Success<typeof makeWorld>

const markOf = (world: World, tier: string, partition: number) => {
  const topic = `sluice.requests.scripted.1.${tier}`
  return Effect.map(
    world.requests.committed("scripted", "1", { topic, partition }),
    (mark) => mark ?? 0,
  )
}

/** The mark is read first: what it covers must be over by then, and stays so. */
const assertCommittedEnded = Effect.fnUntraced(function* (world: World, sent: ReadonlyArray<Sent>) {
  for (const { request, partition, offset } of sent) {
    if (offset >= (yield* markOf(world, request.tier, partition))) continue
    const { terminal } = yield* world.stateOf(request.requestId)
    assert.isNotNull(terminal, `offset ${offset} was committed before its end`)
  }
})

/** Owners that came last read again what was not committed, and find it settled. */
const untilCommitted = Effect.fnUntraced(function* (world: World, records: number) {
  let committed = 0
  for (let i = 0; i < 1000 && committed < records; i++) {
    committed = 0
    for (const tier of tiers) {
      for (const partition of [0, 1]) committed += yield* markOf(world, tier, partition)
    }
    yield* Effect.sleep(5)
  }
  assert.strictEqual(committed, records)
})

const disturb = Effect.fnUntraced(function* (
  requests: ReadonlyArray<RequestAccepted>,
  random: (below: number) => number,
) {
  const world = yield* makeWorld
  const options = { engine: { stepIntervalMs: 1, sequencesMax: 16 }, drainMs: 10, claimsMax: 100 }
  const workers = [yield* world.worker(options)]
  const sent: Array<Sent> = []
  for (const [i, request] of requests.entries()) {
    const { requestId } = request
    for (let copies = random(10) === 0 ? 2 : 1; copies > 0; copies--) {
      sent.push({ request, partition: i % 2, offset: yield* world.send(request, i % 2) })
    }
    if (random(12) === 0) {
      const partition = world.tokens.partitionOf(requestId)
      yield* world.tokens.append(partition, "gateway", [{ kind: "Cancelled", requestId, by: "g" }])
    }
    if (random(4) === 0) yield* Effect.sleep(random(20))
    if (random(4) === 0) yield* assertCommittedEnded(world, sent)
    const what = random(12)
    if (what === 0 && workers.length < 3) workers.push(yield* world.worker(options))
    else if (what < 3 && workers.length > 0) {
      const [gone] = workers.splice(random(workers.length), 1)
      yield* random(2) === 0 ? gone!.stop : gone!.kill
    }
  }
  if (workers.length === 0) workers.push(yield* world.worker(options))
  for (const { requestId } of requests) yield* world.until(requestId, isEnded)
  yield* untilCommitted(world, sent.length)
  for (const worker of workers) yield* worker.stop
  yield* assertCommittedEnded(world, sent)
  return world
})

describe("workers under random disturbance", () => {
  for (let round = 0; round < rounds; round++) {
    const seed = firstSeed + round
    it.live(`end every request once, with its own text: seed ${seed}`, () =>
      Effect.gen(function* () {
        const random = makeRandom(seed)
        const requests = makeRequests(random)
        const expected = yield* undisturbed(requests)
        const world = yield* disturb(requests, random)
        for (const { requestId, deadline, sampling } of requests) {
          const entries = yield* world.entriesOf(requestId)
          const state = foldEntries(entries)
          const outcome = state.terminal?.outcome
          const whole = expected.get(requestId)!
          const said = state.choices.map(({ ids }) => ids)
          for (const [choice, ids] of said.entries()) {
            assert.deepStrictEqual(ids, whole[choice]!.slice(0, ids.length), `seed ${seed}`)
          }
          if (outcome === "finished") assert.deepStrictEqual(said, whole, `seed ${seed}`)
          else if (outcome === "expired") assert.isAtMost(deadline, Date.now())
          else assert.strictEqual(outcome, "cancelled", `seed ${seed} ${sampling.maxTokens}`)
        }
      }),
    )
  }
})
