// The checker finds what it is there to find: each invariant is broken once, by hand, and named;
// and its fold, written apart from the product's, says the same of random logs.
import { assert, describe, it } from "@effect/vitest"
import type { RequestAccepted, TokenEntry } from "../../../schemas/types.ts"
import { check, type CheckedLogs, type CheckOptions } from "../../support/checker/check.ts"
import { expectedFrames } from "../../support/checker/expected.ts"
import { type HistoryLine, lineText, readLines } from "../../support/checker/history.ts"
import { foldAll, type FrameRecord } from "../../support/checker/referenceFold.ts"
import { acceptedRequest } from "../../support/enqueue.ts"
import { exampleRequestId, seeded } from "../../support/events.ts"
import { foldOf, randomEntries } from "../../support/relay.ts"
import { plainAnswer } from "../../support/requestParts.ts"

const requestId = exampleRequestId
const request: RequestAccepted = acceptedRequest({
  requestId,
  answer: { ...plainAnswer, includeUsage: true },
})
const topic = "sluice.requests.tales-11m.1.default"

const claim = (attempt: number, worker: string): TokenEntry => ({
  kind: "AttemptClaimed",
  requestId,
  attempt,
  worker,
})

const tokens = (
  attempt: number,
  position: number,
  texts: ReadonlyArray<string>,
  finish: "length" | null = null,
): TokenEntry => ({
  kind: "TokensGenerated",
  requestId,
  attempt,
  choice: 0,
  position,
  ids: texts.map((text) => text.charCodeAt(0)),
  texts,
  logprobs: null,
  finish,
  stopReason: null,
})

const finish = (attempt: number): TokenEntry => ({
  kind: "GenerationFinished",
  requestId,
  attempt,
  promptTokens: 4,
  cachedTokens: 0,
})

const frames = (
  ...written: ReadonlyArray<readonly [string, TokenEntry]>
): ReadonlyArray<FrameRecord> =>
  written.map(([writer, entry], offset) => ({
    partition: 0,
    offset,
    frame: { writer, writtenAt: 0, entries: [entry] },
  }))

/** A worker is overtaken in the middle, and goes on writing. */
const log = frames(
  ["w1", claim(1, "w1")],
  ["w1", tokens(1, 0, ["a", "b"])],
  ["w2", claim(2, "w2")],
  ["w1", tokens(1, 2, ["x"])],
  ["w2", tokens(2, 2, ["c", "d"], "length")],
  ["w2", finish(2)],
)

const logs = (change: Partial<CheckedLogs> = {}): CheckedLogs => ({
  requests: [{ topic, partition: 0, offset: 0, request }],
  tokens: log,
  letters: [],
  committed: [{ topic, partition: 0, offset: 1 }],
  ...change,
})

const canon = foldAll(log).get(requestId)!
const due = expectedFrames(request, canon).frames

const base = { client: "c", requestId, at: 0, connection: 1 }
const opened = (cursor: number): HistoryLine => ({ ...base, kind: "opened", cursor })
const ended: HistoryLine = { ...base, kind: "ended" }
const events = (from = 0): ReadonlyArray<HistoryLine> =>
  due.filter(({ cursor }) => cursor > from).map((frame) => ({ ...base, kind: "event", ...frame }))

const found = (history: ReadonlyArray<HistoryLine>, more = logs(), options: CheckOptions = {}) =>
  check(more, history, options).map(({ invariant }) => invariant)

describe("the checker", () => {
  it("finds nothing where all is well, whole or from any cursor", () => {
    assert.deepStrictEqual(found([opened(0), ...events(), ended]), [])
    for (let cursor = 0; cursor <= canon.events.length; cursor++) {
      assert.deepStrictEqual(found([opened(cursor), ...events(cursor), ended]), [])
      assert.deepStrictEqual(found([opened(cursor), ...events(cursor).slice(0, 1)]), [])
    }
  })

  it("finds what was lost, repeated, reordered, changed, invented, or cut off", () => {
    const all = events()
    const [first, second, third] = all
    const invented = { ...base, kind: "event", cursor: 99, data: "{}" } as const
    const changed = { ...base, kind: "event", cursor: 1, data: "{}" } as const
    for (const wrong of [
      [first, third],
      [first, first],
      [second, first],
      [changed],
      [...all, invented],
      [...all.slice(0, 2), ended],
    ]) {
      const history = [opened(0), ...wrong.filter((line) => line !== undefined)]
      assert.deepStrictEqual(found(history), ["prefix"])
    }
    assert.deepStrictEqual(found([opened(2), ...all]), ["same suffix"])
  })

  it("finds what a losing attempt wrote", () => {
    const data = due[2]!.data.replace('"c"', '"x"')
    const history = [opened(0), ...events().slice(0, 2)]
    const shown: HistoryLine = { ...base, kind: "event", cursor: 3, data }
    assert.deepStrictEqual(found([...history, shown]), ["fenced"])
  })

  it("finds a promise without a record, and an end that the log does not have", () => {
    const accepted: HistoryLine = { kind: "accepted", client: "c", requestId, at: 0 }
    const none = logs({ requests: [], committed: [] })
    assert.deepStrictEqual(found([accepted], none), ["durable before success"])
    assert.deepStrictEqual(found([opened(0), ...events()], none), ["logged before seen"])
    const open = logs({ tokens: log.slice(0, 5), committed: [] })
    assert.deepStrictEqual(found([], open), ["one end"])
    assert.deepStrictEqual(found([], open, { isOver: false }), [])
    const cancelled: HistoryLine = { kind: "cancelled", client: "c", requestId, at: 0 }
    assert.deepStrictEqual(found([cancelled], open, { isOver: false }), ["one end"])
  })

  it("finds a mark past what is not over, now or when it was read", () => {
    const open = logs({ tokens: log.slice(0, 5) })
    assert.deepStrictEqual(found([], open, { isOver: false }), ["committed is over"])
    const early = logs({ committed: [{ topic, partition: 0, offset: 1, tokenEnds: [5] }] })
    assert.deepStrictEqual(found([], early), ["committed is over"])
    const inTime = logs({ committed: [{ topic, partition: 0, offset: 1, tokenEnds: [6] }] })
    assert.deepStrictEqual(found([], inTime), [])
  })

  it("finds usage that is not what was delivered", () => {
    const wrong = events().map((line) =>
      line.kind === "event"
        ? { ...line, data: line.data.replace('"completion_tokens":4', '"completion_tokens":5') }
        : line,
    )
    assert.include(found([opened(0), ...wrong]), "usage is positions")
  })

  it("finds tokens that changed after they could be seen", () => {
    const again = frames(
      ["w1", claim(1, "w1")],
      ["w1", tokens(1, 0, ["a", "b"])],
      ["w1", tokens(1, 1, ["z", "c"], "length")],
      ["w1", finish(1)],
    )
    assert.deepStrictEqual(found([], logs({ tokens: again })), ["tokens never change"])
  })

  it("finds what differs from the undisturbed answer, a late end, and a missing letter", () => {
    const ids = [97, 98, 99, 100]
    const undisturbed = (texts: ReadonlyArray<string>) => () => [{ ids, texts }]
    assert.deepStrictEqual(found([], logs(), { undisturbed: undisturbed([..."abcd"]) }), [])
    const other = { undisturbed: undisturbed([..."abce"]) }
    assert.deepStrictEqual(found([], logs(), other), ["as undisturbed"])
    const dead = frames([
      "w1",
      { kind: "DeadLettered", requestId, attempts: 3, code: "poison", message: "" },
    ])
    assert.deepStrictEqual(found([], logs({ tokens: dead })), ["letter"])
    const late = dead.map((frame) => ({ ...frame, timestamp: request.deadline + 10 }))
    const lateLogs = logs({ tokens: late, letters: [{ requestId }] })
    assert.deepStrictEqual(found([], lateLogs, { lateMsMax: 9 }), ["by its deadline"])
  })

  it("reads its history back, but for a line that was cut off", () => {
    const lines = [opened(0), ...events(), ended]
    assert.deepStrictEqual(readLines(lines.map(lineText).join("")), lines)
    assert.deepStrictEqual(readLines(`${lineText(ended)}{"kind":"ev`), [ended])
  })
})

describe("the checker's fold", () => {
  it("says of random logs what the product's says", () => {
    for (let seed = 0; seed < 300; seed++) {
      const draw = seeded(seed)
      const written = randomEntries(requestId, draw.below)
      const reference = foldAll(
        written.map(({ writer, entry }, offset) => ({
          partition: 0,
          offset,
          frame: { writer, writtenAt: 0, entries: [entry] },
        })),
      )
      assert.deepStrictEqual(reference.get(requestId)?.events, foldOf(written), `seed ${seed}`)
    }
  })
})
