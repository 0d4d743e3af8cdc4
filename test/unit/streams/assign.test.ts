// Sharing partitions out: every one has one owner, shares follow slots, few move.
import { assert, describe, it } from "@effect/vitest"
import { assign, type Assignment, type Claimant } from "../../../streams/group/assign.ts"
import { changeGroup, emptyGroup, type Member } from "../../../streams/group/groupState.ts"
import { seeded } from "../../support/events.ts"

const partitionsOf = (topics: ReadonlyArray<string>, width: number) =>
  topics.flatMap((topic) => Array.from({ length: width }, (_, partition) => ({ topic, partition })))

const keys = (assignment: Assignment) =>
  Object.values(assignment).flatMap((held) =>
    held.map(({ topic, partition }) => `${topic}/${partition}`),
  )

const member = (id: string, more: Partial<Member> = {}): Member => ({
  id,
  slots: 1,
  topics: ["a"],
  process: { host: "h", pid: 1 },
  seenAt: 1000,
  ...more,
})

describe("assign", () => {
  it("gives each partition one owner, each member its part by slots to a partition", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const draw = seeded(seed)
      const topics = ["a", "b", "c"].slice(0, 1 + draw.below(3))
      const width = 1 + draw.below(9)
      const partitions = partitionsOf(topics, width)
      let previous: Assignment = {}
      let members: ReadonlyArray<Claimant> = []
      for (let round = 0; round < 6; round++) {
        const joined = { id: `m${seed}-${round}`, slots: draw.below(5), topics }
        members = draw.below(3) === 0 ? members.slice(1) : [...members, joined]
        if (members.length === 0) members = [joined]
        const next = assign(members, partitions, previous)
        assert.deepStrictEqual(keys(next).toSorted(), keys({ all: partitions }).toSorted())
        const slots = members.reduce((sum, one) => sum + Math.max(1, one.slots), 0)
        for (const one of members) {
          const exact = (width * Math.max(1, one.slots)) / slots
          for (const topic of topics) {
            const held = next[one.id]!.filter((partition) => partition.topic === topic).length
            assert.isBelow(Math.abs(held - exact), 1, `seed ${seed}`)
          }
          assert.isBelow(Math.abs(next[one.id]!.length - exact * topics.length), 2, `seed ${seed}`)
        }
        previous = next
      }
    }
  })

  it("does not depend on the order in which members are listed", () => {
    const members = ["x", "y", "z"].map((id) => ({ id, slots: 2, topics: ["a", "b"] }))
    const partitions = partitionsOf(["a", "b"], 5)
    const expected = assign(members, partitions, {})
    assert.deepStrictEqual(assign(members.toReversed(), partitions, {}), expected)
  })

  it("moves only what the newcomer gets", () => {
    const two = ["x", "y"].map((id) => ({ id, slots: 1, topics: ["a"] }))
    const partitions = partitionsOf(["a"], 12)
    const before = assign(two, partitions, {})
    const after = assign([...two, { id: "z", slots: 1, topics: ["a"] }], partitions, before)
    assert.lengthOf(after["z"]!, 4)
    for (const id of ["x", "y"]) {
      for (const held of after[id]!) assert.deepInclude(before[id]!, held)
    }
  })

  it("members without a topic get none of it; a topic of nobody goes to nobody", () => {
    const members = [
      { id: "x", slots: 1, topics: ["a"] },
      { id: "y", slots: 1, topics: ["b"] },
    ]
    const next = assign(members, partitionsOf(["a", "b", "c"], 3), {})
    assert.deepStrictEqual(next["x"], partitionsOf(["a"], 3))
    assert.deepStrictEqual(next["y"], partitionsOf(["b"], 3))
  })
})

describe("a group's changes", () => {
  const width = () => 4
  const joined = ["x", "y"].reduce(
    (state, id) => changeGroup(state, { kind: "join", member: member(id) }, width),
    emptyGroup,
  )

  it("joining and leaving make a new generation, a beat does not", () => {
    assert.strictEqual(joined.generation, 2)
    const beaten = changeGroup(joined, { kind: "beat", id: "x", at: 2000 }, width)
    assert.strictEqual(beaten.generation, 2)
    assert.strictEqual(beaten.members.find(({ id }) => id === "x")?.seenAt, 2000)
    const left = changeGroup(beaten, { kind: "leave", id: "x" }, width)
    assert.strictEqual(left.generation, 3)
    assert.lengthOf(left.assignment["y"]!, 4)
    assert.strictEqual(changeGroup(left, { kind: "leave", id: "x" }, width), left)
  })

  it("evicts whoever was not seen and whose process is gone, nobody else", () => {
    const one = changeGroup(
      joined,
      { kind: "join", member: member("z", { process: { host: "h", pid: 7 }, seenAt: 5000 }) },
      width,
    )
    const unseen = changeGroup(one, { kind: "evict", dead: [], seenBefore: 3000 }, width)
    assert.deepStrictEqual(
      unseen.members.map(({ id }) => id),
      ["z"],
    )
    const gone = [
      { host: "h", pid: 7 },
      { host: "other", pid: 1 },
    ]
    const dead = changeGroup(one, { kind: "evict", dead: gone, seenBefore: 0 }, width)
    assert.deepStrictEqual(
      dead.members.map(({ id }) => id),
      ["x", "y"],
    )
    assert.strictEqual(changeGroup(one, { kind: "evict", dead: [], seenBefore: 0 }, width), one)
  })
})
