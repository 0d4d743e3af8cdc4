import { describe, expect, it } from "vitest"
import type { TopicPartition } from "../../../streams/Log.ts"
import { Assignment } from "../../../src/generate/assignment.ts"
import { Backlog } from "../../../src/generate/backlog.ts"
import { InFlight, InFlightTable } from "../../../src/generate/inFlight.ts"
import { accepted } from "../../support/generate.ts"

const make = () => {
  const table = new InFlightTable()
  const assignment = new Assignment(
    new Map([
      ["a", "default"],
      ["b", "flex"],
    ]),
  )
  const at = (topic: string, partition: number) => ({ topic, partition })
  assignment.assign(1, [at("a", 0), at("b", 0)])
  const backlog = new Backlog({ requestsMax: 4, promptTokensMax: 100 }, table, assignment)
  const calls: Array<string> = []
  const names = (partitions: ReadonlyArray<TopicPartition>) =>
    partitions.map(({ topic, partition }) => topic + partition).join()
  backlog.connect({
    pause: (partitions) => calls.push(`pause ${names(partitions)}`),
    resume: (partitions) => calls.push(`resume ${names(partitions)}`),
  })
  const add = (tokens = 1) => {
    const item = new InFlight({
      request: accepted({}, { prompts: [Array.from({ length: tokens }, () => 1)] }),
      record: new Uint8Array(0),
      tokenPartition: 0,
      origin: { topic: "a", partition: 0, offset: 0, timestamp: 0 },
      arrivedAt: 0,
    })
    table.add(item)
    backlog.check()
    return item
  }
  const remove = (item: InFlight) => {
    table.remove(item)
    backlog.check()
  }
  return { assignment, backlog, calls, add, remove, at }
}

describe("the backlog", () => {
  it("pauses a full tier's partitions only, and resumes them at half", () => {
    const { calls, add, remove } = make()
    const items = [add(), add(), add(), add()]
    expect(calls).toEqual(["pause a0"])
    remove(items[0]!)
    expect(calls).toEqual(["pause a0"])
    remove(items[1]!)
    expect(calls).toEqual(["pause a0", "resume a0"])
  })

  it("counts prompt tokens too", () => {
    const { calls, add } = make()
    add(120)
    expect(calls).toEqual(["pause a0"])
  })

  it("pauses partitions that come new to a paused tier", () => {
    const { calls, add, assignment, backlog, at } = make()
    add(120)
    assignment.assign(2, [at("a", 0), at("a", 1)])
    backlog.reapply()
    expect(calls).toEqual(["pause a0", "pause a0,a1"])
  })

  it("stays closed once it drains", () => {
    const { calls, add, remove, backlog } = make()
    const item = add()
    backlog.close()
    remove(item)
    expect(calls).toEqual(["pause ", "pause a0", "pause b0"])
  })
})
