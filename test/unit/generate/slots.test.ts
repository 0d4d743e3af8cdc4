import { describe, expect, it } from "vitest"
import { History } from "../../../src/generate/adopt.ts"
import {
  makeScriptedEngine,
  scriptedDefaults,
} from "../../../src/generate/engine/ScriptedEngine.ts"
import { FrameBuffer } from "../../../src/generate/frameBuffer.ts"
import { Generation } from "../../../src/generate/generation.ts"
import { InFlight } from "../../../src/generate/inFlight.ts"
import { Slots } from "../../../src/generate/slots.ts"
import { makeTextStream } from "../../../src/tokenizer/TextStream.ts"
import type { Tier } from "../../../schemas/types.ts"
import { accepted, letters } from "../../support/generate.ts"

const makeItem = (tier: Tier, n = 1, prompt: ReadonlyArray<number> = [72, 105]) =>
  new InFlight({
    request: accepted({}, { tier, n, prompts: [prompt] }),
    record: new Uint8Array(0),
    tokenPartition: 0,
    origin: { topic: "t", partition: 0, offset: 0, timestamp: 0 },
    arrivedAt: 0,
  })

const makeSlots = (sequencesMax: number, waitingMax = 100) => {
  const { engine } = makeScriptedEngine({
    ...scriptedDefaults,
    sequencesMax,
    waitingMax,
    stepIntervalMs: null,
    now: () => 0,
  })
  return { engine, slots: new Slots(engine, 100) }
}

const generate = (item: InFlight) => {
  const options = { stop: [], includeStop: false, skipSpecialTokens: true, minTokens: 0 }
  item.generation = new Generation({
    request: item.request,
    attempt: 1,
    buffer: new FrameBuffer(),
    makeText: () => makeTextStream(letters, options),
    logged: [],
  })
  return item
}

/** Half done by another, with so many prompt tokens. */
const adopted = (tokens: number) => {
  const item = makeItem(
    "default",
    1,
    Array.from({ length: tokens }, () => 1),
  )
  item.history = new History(item.request)
  item.weigh(item.history)
  return item
}

/** Two claims and no token. */
const suspect = (item: InFlight) => {
  item.history = new History(item.request)
  const { requestId } = item.request
  for (let attempt = 1; attempt <= 2; attempt++) {
    const frame = { writer: "w", writtenAt: 0 }
    item.history.apply(frame, { kind: "AttemptClaimed", requestId, attempt, worker: "w" })
  }
  item.weigh(item.history)
  return item
}

describe("slots", () => {
  it("are counted for a tier's own rank and above only", () => {
    const { slots } = makeSlots(2)
    slots.take(makeItem("flex"))
    slots.take(makeItem("flex"))
    expect(slots.room(makeItem("flex"))).toBe(false)
    expect(slots.room(makeItem("priority", 2))).toBe(true)
    slots.take(makeItem("priority"))
    expect(slots.room(makeItem("default", 2))).toBe(false)
    expect(slots.room(makeItem("default"))).toBe(true)
  })

  it("let a request in that is bigger than the batch when nothing else runs", () => {
    const { slots } = makeSlots(2)
    expect(slots.room(makeItem("default", 9))).toBe(true)
    slots.take(makeItem("default"))
    expect(slots.room(makeItem("default", 9))).toBe(false)
  })

  it("come back choice by choice, and all at once when a request is stopped", () => {
    const { slots, engine } = makeSlots(8)
    const item = generate(makeItem("default", 3))
    slots.take(item)
    expect(slots.submit(item)).toBeNull()
    expect(slots.used).toBe(3)
    const handle = item.generation!.choices[0]!.sequence
    slots.endChoice(handle, slots.seat(handle)!, true)
    expect(slots.used).toBe(2)
    slots.stop(item)
    expect(slots.used).toBe(0)
    expect(engine.stats().waiting + engine.stats().running).toBeLessThanOrEqual(3)
    slots.stop(item)
    expect(slots.used).toBe(0)
  })

  it("hold one suspect at a time and no other adoption beside it, until it has a token", () => {
    const { slots } = makeSlots(8)
    const first = suspect(makeItem("default"))
    slots.take(first)
    expect(slots.room(suspect(makeItem("default")))).toBe(false)
    expect(slots.room(adopted(2))).toBe(false)
    expect(slots.room(makeItem("default"))).toBe(true)
    slots.progressed(first)
    expect(slots.room(suspect(makeItem("default")))).toBe(true)
  })

  it("let adopted requests claim only as many tokens as the engine comes to soon", () => {
    const { slots } = makeSlots(64)
    const first = adopted(60)
    slots.take(first)
    expect(slots.room(adopted(60))).toBe(false)
    expect(slots.room(suspect(makeItem("default")))).toBe(false)
    const second = adopted(30)
    expect(slots.room(second)).toBe(true)
    slots.take(second)
    slots.progressed(first)
    expect(slots.room(adopted(60))).toBe(true)
    slots.stop(second)
    expect(slots.room(adopted(1000))).toBe(true)
  })

  it("keep choices that found the engine's queue full, in order", () => {
    const { slots } = makeSlots(1, 1)
    const item = generate(makeItem("default", 4))
    slots.take(item)
    expect(slots.submit(item)).toBeNull()
    const submitted = () => item.generation!.choices.map(({ sequence }) => sequence > 0)
    expect(submitted()).toEqual([true, true, false, false])
    slots.submitDelayed(() => expect.unreachable())
    expect(submitted()).toEqual([true, true, false, false])
  })
})
