// Placement: what shares a beginning meets; an owner who is not well or deep in work is passed over
// for the less loaded of two others, and nothing changes while nobody is known.
import { describe, expect, it } from "vitest"
import type { WorkerStatus } from "../../../schemas/types.ts"
import { affinityKey, choosePartition } from "../../../src/enqueue/partition.ts"
import { makeWorkerStates } from "../../../src/enqueue/workerStates.ts"
import { acceptedRequest, workerStatus } from "../../support/enqueue.ts"

const place = (
  key: string,
  owners: ReadonlyArray<WorkerStatus | null>,
  requestsOf: (partition: number) => number = () => 0,
) =>
  choosePartition(key, {
    partitions: owners.length,
    ownerOf: (partition) => owners[partition] ?? null,
    requestsOf,
  }).partition

const well = workerStatus({ workerId: "well" })
const keys = Array.from({ length: 500 }, (_, i) => `key ${i}`)
const eight = (of: (partition: number) => WorkerStatus | null) =>
  Array.from({ length: 8 }, (_, partition) => of(partition))
const home = (key: string) =>
  place(
    key,
    eight(() => null),
  )

describe("affinity", () => {
  const prompt = Array.from({ length: 100 }, (_, i) => i)

  it("goes by the prompt-cache key, else by the beginning of the first prompt", () => {
    const named = acceptedRequest({ promptCacheKey: "mine", prompts: [prompt] })
    expect(affinityKey(named)).toBe("mine")
    const a = affinityKey(acceptedRequest({ prompts: [prompt] }))
    const b = affinityKey(acceptedRequest({ prompts: [[...prompt.slice(0, 40), 7, 7], [1]] }))
    const c = affinityKey(acceptedRequest({ prompts: [[9, ...prompt]] }))
    expect(b).toBe(a)
    expect(c).not.toBe(a)
    expect(affinityKey(acceptedRequest({ prompts: [] }))).toMatch(/^prefix-/)
  })

  it("spreads keys over all partitions", () => {
    const counts = new Array(8).fill(0)
    for (const key of keys) counts[home(key)]++
    for (const count of counts) expect(count).toBeGreaterThan(30)
  })
})

describe("choosePartition", () => {
  it("keeps the home partition while its owner is well, or nobody is known", () => {
    for (const key of keys)
      expect(
        place(
          key,
          eight(() => well),
        ),
      ).toBe(home(key))
    expect(place("any", [null])).toBe(0)
  })

  const unwell: ReadonlyArray<readonly [string, WorkerStatus | null]> = [
    ["gone", null],
    ["draining", workerStatus({ state: "draining" })],
    ["stalled", workerStatus({ stalledMs: 9_000 })],
    ["deep in work", workerStatus({ requestsWaiting: 99 })],
  ]
  for (const [name, owner] of unwell) {
    it(`passes over an owner who is ${name}`, () => {
      for (const key of keys) {
        const at = home(key)
        const placed = place(
          key,
          eight((partition) => (partition === at ? owner : well)),
        )
        expect(placed).not.toBe(at)
        expect(placed).toBe(
          place(
            key,
            eight((partition) => (partition === at ? owner : well)),
          ),
        )
      }
    })
  }

  it("takes the less loaded of two others, this gateway's own requests counted", () => {
    let lighter = 0
    for (const key of keys) {
      const at = home(key)
      const load = (partition: number) => (partition < 4 ? 50 : 0)
      const placed = place(
        key,
        eight((partition) => (partition === at ? null : well)),
        load,
      )
      if (placed >= 4) lighter++
    }
    // With two drawn of seven, both are heavy in well under a third of the draws.
    expect(lighter / keys.length).toBeGreaterThan(0.65)
  })

  it("stays at home where nobody else is well either", () => {
    for (const key of keys) {
      expect(
        place(
          key,
          eight(() => workerStatus({ stalledMs: 9_000 })),
        ),
      ).toBe(home(key))
    }
  })
})

describe("worker states", () => {
  it("keeps the newest status of each live worker of its model, whatever its version", () => {
    const states = makeWorkerStates("tales-11m", 0)
    states.take(workerStatus({ partitions: ["t/0", "t/1"] }))
    states.take(workerStatus({ workerId: "w2", partitions: ["t/1"], at: 1_500 }))
    states.take(workerStatus({ workerId: "w3", model: "other" }))
    states.take(workerStatus({ workerId: "w4", version: "2" }))
    expect(states.live(2_000).map(({ workerId }) => workerId)).toEqual(["w1", "w2", "w4"])
    expect(states.owner("t/1", 2_000)?.workerId).toBe("w2")
    expect(states.owner("t/9", 2_000)).toBeNull()
    expect(states.lastHeardAt()).toBe(1_500)
    expect(states.isReady("2", 2_000)).toBe(true)
    expect(states.isReady("3", 2_000)).toBe(false)
    states.take(workerStatus({ workerId: "w2", state: "stopped", partitions: ["t/1"] }))
    expect(states.owner("t/1", 2_000)?.workerId).toBe("w1")
    expect(states.owner("t/0", 20_000)).toBeNull()
    expect(states.live(20_000)).toEqual([])
  })
})
