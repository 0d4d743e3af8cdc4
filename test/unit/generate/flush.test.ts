import { describe, expect, it } from "vitest"
import type { TokenEntry } from "../../../schemas/types.ts"
import { FrameWriter } from "../../../src/generate/flush.ts"
import { LogError, type OnAppended } from "../../../streams/Log.ts"

const claimed = (requestId: string): TokenEntry => ({
  kind: "AttemptClaimed",
  requestId,
  attempt: 1,
  worker: "w",
})

const make = (flushMs = 10) => {
  const appends: Array<{ partition: number; ids: Array<string>; done: OnAppended }> = []
  const timers: Array<{ at: number; run: () => void }> = []
  const lost: Array<string> = []
  const state = { now: 1000 }
  const writer = new FrameWriter({
    partitions: 2,
    flushMs,
    retryMs: 100,
    patienceMs: 30_000,
    now: () => state.now,
    after: (ms, run) => timers.push({ at: state.now + ms, run }),
    append: (partition, entries, done) =>
      appends.push({ partition, ids: entries.map((entry) => entry.requestId), done }),
    onLost: (error) => lost.push(error.reason),
  })
  const advance = (ms: number) => {
    state.now += ms
    for (const timer of timers.splice(0)) {
      if (timer.at <= state.now) timer.run()
      else timers.push(timer)
    }
  }
  return { writer, appends, lost, advance, timers }
}

const failure = (reason: LogError["reason"]) => new LogError({ reason, message: reason })

describe("flushing", () => {
  it("sends at once from an idle partition, and one frame for what came meanwhile", () => {
    const { writer, appends, advance } = make()
    writer.buffer(0).add(claimed("a"), "soon")
    writer.flush()
    expect(appends.map(({ ids }) => ids)).toEqual([["a"]])
    for (const id of ["b", "c", "d"]) {
      writer.buffer(0).add(claimed(id), "now")
      writer.flush()
    }
    advance(100)
    expect(appends).toHaveLength(1)
    appends[0]!.done(null, 7)
    expect(appends.map(({ ids }) => ids)).toEqual([["a"], ["b", "c", "d"]])
  })

  it("holds what is not urgent for flushMs at most, and nothing urgent", () => {
    const { writer, appends, advance } = make(10)
    writer.buffer(0).add(claimed("a"), "soon")
    writer.flush()
    appends[0]!.done(null, 0)
    writer.buffer(0).add(claimed("b"), "soon")
    writer.flush()
    expect(appends).toHaveLength(1)
    advance(10)
    expect(appends[1]!.ids).toEqual(["b"])
    appends[1]!.done(null, 1)
    writer.buffer(0).add(claimed("c"), "soon")
    writer.buffer(0).add(claimed("d"), "soon")
    writer.buffer(0).add(claimed("d"), "now")
    writer.flush()
    expect(appends[2]!.ids).toEqual(["d", "d"])
    appends[2]!.done(null, 2)
    expect(appends).toHaveLength(3)
    advance(10)
    expect(appends[3]!.ids).toEqual(["c"])
  })

  it("waits longer for company the more streams there are, and never long", () => {
    const { writer, appends, advance } = make(10)
    const add = (count: number) => {
      for (let i = 0; i < count; i++) writer.buffer(0).add(claimed(String(i)), "soon")
      writer.flush()
    }
    add(1)
    appends[0]!.done(null, 0)
    add(500)
    advance(24)
    expect(appends).toHaveLength(1)
    advance(1)
    expect(appends[1]!.ids).toHaveLength(500)
    appends[1]!.done(null, 1)
    add(2_000)
    add(8_000)
    advance(50)
    expect(appends).toHaveLength(3)
  })

  it("holds late entries for 150 ms, or until something of their request is urgent", () => {
    const { writer, appends, advance } = make(10)
    writer.buffer(0).add(claimed("a"), "late")
    writer.buffer(0).add(claimed("b"), "late")
    writer.flush()
    advance(100)
    expect(appends).toHaveLength(0)
    writer.buffer(0).flushedAt = 1_100
    writer.buffer(0).add(claimed("c"), "soon")
    writer.flush()
    expect(appends).toHaveLength(0)
    advance(10)
    expect(appends.map(({ ids }) => ids)).toEqual([["c"]])
    appends[0]!.done(null, 0)
    writer.buffer(0).add(claimed("b"), "now")
    writer.flush()
    expect(appends[1]!.ids).toEqual(["b", "b"])
    appends[1]!.done(null, 1)
    advance(39)
    expect(appends).toHaveLength(2)
    advance(1)
    expect(appends[2]!.ids).toEqual(["a"])
    expect(writer.entriesPending).toBe(0)
  })

  it("tells whoever made an entry when nothing may be added to it any more", () => {
    const { writer, appends } = make()
    const first = writer.buffer(0).add(claimed("a"), "now")
    const second = writer.buffer(0).add(claimed("b"), "soon")
    expect([first.taken, second.taken]).toEqual([false, false])
    writer.buffer(0).flushedAt = 1_000
    writer.flush()
    expect([first.taken, second.taken]).toEqual([true, false])
    expect(appends).toHaveLength(1)
  })

  it("holds a lazy entry for what comes next, but no longer than flushMs", () => {
    const { writer, appends, advance } = make(10)
    writer.buffer(0).add(claimed("a"), "lazy")
    writer.flush()
    advance(4)
    expect(appends).toHaveLength(0)
    writer.buffer(0).add(claimed("b"), "now")
    writer.flush()
    expect(appends[0]!.ids).toEqual(["a", "b"])
    appends[0]!.done(null, 0)
    advance(100)
    writer.buffer(0).add(claimed("c"), "lazy")
    writer.flush()
    advance(10)
    expect(appends[1]!.ids).toEqual(["c"])
  })

  it("keeps partitions apart", () => {
    const { writer, appends } = make()
    writer.buffer(0).add(claimed("a"), "now")
    writer.buffer(1).add(claimed("b"), "now")
    writer.flush()
    expect(appends.map(({ partition }) => partition)).toEqual([0, 1])
  })

  it("tells each entry the offset of its frame", () => {
    const { writer, appends } = make()
    const offsets: Array<number> = []
    writer.buffer(0).add(claimed("a"), "now", (offset) => offsets.push(offset))
    writer.flush()
    writer.buffer(0).add(claimed("b"), "now", (offset) => offsets.push(offset))
    appends[0]!.done(null, 41)
    appends[1]!.done(null, 42)
    expect(offsets).toEqual([41, 42])
    expect(writer.busy).toBe(false)
  })

  it("sends a frame of unknown outcome again as it was, before anything newer", () => {
    const { writer, appends, advance } = make()
    writer.buffer(0).add(claimed("a"), "now")
    writer.flush()
    writer.buffer(0).add(claimed("b"), "now")
    appends[0]!.done(failure("unknownOutcome"), -1)
    advance(1000)
    expect(appends.map(({ ids }) => ids)).toEqual([["a"], ["a"]])
    appends[1]!.done(null, 3)
    expect(appends[2]!.ids).toEqual(["b"])
  })

  it("gives up after its patience, and at once where the log is closed", () => {
    const patient = make()
    patient.writer.buffer(0).add(claimed("a"), "now")
    patient.writer.flush()
    for (let i = 0; patient.lost.length === 0; i++) {
      expect(i).toBeLessThan(100)
      patient.appends.at(-1)!.done(failure("full"), -1)
      patient.advance(1000)
    }
    expect(patient.appends.length).toBeGreaterThan(29)
    const closed = make()
    closed.writer.buffer(0).add(claimed("a"), "now")
    closed.writer.flush()
    closed.appends[0]!.done(failure("closed"), -1)
    expect(closed.lost).toEqual(["closed"])
  })

  it("bounds a frame, and loses no entry by it", () => {
    const { writer, appends } = make()
    const ids = Array.from({ length: 5000 }, (_, i) => String(i))
    for (const id of ids) writer.buffer(0).add(claimed(id), "now")
    writer.flush()
    for (let i = 0; i < appends.length; i++) appends[i]!.done(null, i)
    expect(appends.length).toBeGreaterThan(1)
    expect(appends.flatMap((append) => append.ids)).toEqual(ids)
  })
})
