// The fold is the truth about a request: only what the current claimant wrote counts, each position
// once, one terminal event ends it. Random logs are made by simulating honest and losing writers,
// so that what should come out is known without folding.
import { assert, describe, it } from "@effect/vitest"
import type { TokenEntry, TokensGenerated } from "../../../schemas/types.ts"
import {
  apply,
  choicesMax,
  completionTokens,
  emptyState,
  type RequestEvent,
} from "../../../streams/fold/requestState.ts"
import { exampleRequestId, seeded } from "../../support/events.ts"

interface Written {
  readonly writer: string
  readonly entry: TokenEntry
}

const requestId = exampleRequestId

const claimed = (attempt: number, worker: string): Written => ({
  writer: worker,
  entry: { kind: "AttemptClaimed", requestId, attempt, worker },
})

const generated = (writer: string, attempt: number, fields: Partial<TokensGenerated>): Written => ({
  writer,
  entry: {
    kind: "TokensGenerated",
    requestId,
    attempt,
    choice: 0,
    position: 0,
    ids: [],
    texts: [],
    logprobs: null,
    finish: null,
    stopReason: null,
    ...fields,
  },
})

const finished = (writer: string, attempt: number): Written => ({
  writer,
  entry: { kind: "GenerationFinished", requestId, attempt, promptTokens: 5, cachedTokens: 1 },
})

const cancelled: Written = { writer: "gateway", entry: { kind: "Cancelled", requestId, by: "me" } }

const fold = (log: ReadonlyArray<Written>, state = emptyState()): ReadonlyArray<RequestEvent> =>
  log.flatMap(({ writer, entry }) => apply(state, writer, entry))

const ids = (events: ReadonlyArray<RequestEvent>, choice = 0) =>
  events.flatMap((event) => (event.kind === "token" && event.choice === choice ? [event.id] : []))

const outcome = (events: ReadonlyArray<RequestEvent>) => {
  const last = events.at(-1)
  return last?.kind === "terminal" ? last.outcome : null
}

describe("claims", () => {
  it("count iff they are the current attempt + 1, whoever comes first", () => {
    const state = emptyState()
    fold([claimed(2, "early"), claimed(1, "a"), claimed(1, "late"), claimed(3, "far")], state)
    assert.deepStrictEqual([state.attempt, state.claimant], [1, "a"])
    fold([claimed(2, "b")], state)
    assert.deepStrictEqual([state.attempt, state.claimant], [2, "b"])
  })

  it("tokens before any claim are void", () => {
    const log = [generated("a", 0, { ids: [1], texts: ["x"] }), claimed(1, "a")]
    assert.deepStrictEqual(fold(log), [])
  })

  it("only the claimant's tokens of the current attempt count", () => {
    const log = [
      claimed(1, "a"),
      generated("a", 1, { ids: [1], texts: ["x"] }),
      generated("b", 1, { position: 1, ids: [9], texts: ["no"] }),
      claimed(2, "b"),
      generated("a", 1, { position: 1, ids: [8], texts: ["no"] }),
      generated("a", 2, { position: 1, ids: [7], texts: ["no"] }),
      generated("b", 2, { position: 1, ids: [2], texts: ["y"], finish: "stop" }),
      finished("a", 2),
      finished("b", 1),
      finished("b", 2),
    ]
    const events = fold(log)
    assert.deepStrictEqual(ids(events), [1, 2])
    assert.strictEqual(outcome(events), "finished")
  })
})

describe("positions", () => {
  it("held ones are dropped, the rest of the entry is appended", () => {
    const log = [
      claimed(1, "a"),
      generated("a", 1, { ids: [1, 2], texts: ["x", "y"] }),
      generated("a", 1, { position: 1, ids: [2, 3], texts: ["y", "z"], finish: "length" }),
      generated("a", 1, { position: 0, ids: [1, 2], texts: ["x", "y"] }),
    ]
    const events = fold(log)
    assert.deepStrictEqual(
      events.map(({ number }) => number),
      [1, 2, 3],
    )
    const finishes = events.map((event) => (event.kind === "token" ? event.finish : null))
    assert.deepStrictEqual(finishes, [null, null, "length"])
  })

  it("a gap is never applied", () => {
    const log = [claimed(1, "a"), generated("a", 1, { position: 1, ids: [2], texts: ["y"] })]
    assert.deepStrictEqual(fold(log), [])
  })

  it("nothing follows a choice's finish", () => {
    const log = [
      claimed(1, "a"),
      generated("a", 1, { ids: [1], texts: ["x"], finish: "stop", stopReason: "2" }),
      generated("a", 1, { position: 1, ids: [2], texts: ["y"] }),
    ]
    assert.deepStrictEqual(ids(fold(log)), [1])
  })

  it("choices and prompts out of bounds are void and cost no memory", () => {
    const state = emptyState()
    const scored = { kind: "PromptScored", requestId, attempt: 1, logprobs: [] } as const
    for (const index of [-1, choicesMax, 2 ** 31 - 1]) {
      const token = generated("a", 1, { choice: index, ids: [1], texts: ["x"] })
      const prompt = { writer: "a", entry: { ...scored, prompt: index } }
      assert.deepStrictEqual(fold([claimed(1, "a"), token, prompt], state), [])
    }
    assert.lengthOf(state.choices, 0)
    assert.lengthOf(state.promptLogprobs, 0)
  })

  it("missing texts and logprobs are empty, not undefined", () => {
    const [event] = fold([claimed(1, "a"), generated("a", 1, { ids: [1], texts: [] })])
    assert.deepInclude(event, { text: "", logprob: null })
  })
})

describe("terminal entries", () => {
  it("the first ends the request, one past the last token; nothing counts after", () => {
    const log = [
      claimed(1, "a"),
      generated("a", 1, { ids: [1, 2], texts: ["x", "y"] }),
      cancelled,
      finished("a", 1),
      claimed(2, "b"),
      generated("b", 2, { position: 2, ids: [3], texts: ["z"] }),
      cancelled,
    ]
    const events = fold(log)
    assert.lengthOf(events, 3)
    assert.deepInclude(events[2]!, { number: 3, outcome: "cancelled", completionTokens: 2 })
  })

  it("anyone may cancel, expire and dead-letter, also before a claim", () => {
    const deadLettered = { kind: "DeadLettered", requestId, attempts: 3, code: "c", message: "m" }
    const entries: ReadonlyArray<readonly [TokenEntry, string]> = [
      [cancelled.entry, "cancelled"],
      [{ kind: "Expired", requestId, deadline: 5 }, "expired"],
      [{ ...deadLettered, kind: "DeadLettered" }, "deadLettered"],
    ]
    for (const [entry, expected] of entries) {
      assert.strictEqual(outcome(fold([{ writer: "anyone", entry }])), expected)
    }
  })

  it("the claimant's failure carries its code and sentence", () => {
    const failed = {
      kind: "GenerationFailed",
      requestId,
      attempt: 1,
      code: "c",
      message: "m",
    } as const
    const events = fold([claimed(1, "a"), { writer: "a", entry: failed }])
    assert.deepInclude(events[0]!, { outcome: "failed", code: "c", message: "m", number: 1 })
  })
})

/** The token that an honest worker makes of a position: every claimant makes the same. */
const honest = (choice: number, position: number) => choice * 1000 + position
const poison = -1

/**
 * A log in which some claim, lose, write old frames again, leave gaps, and the current one goes on.
 */
const simulate = (seed: number) => {
  const draw = seeded(seed)
  const choices = 1 + draw.below(3)
  const held = Array.from({ length: choices }, () => 0)
  const log: Array<Written> = []
  const losers: Array<{ writer: string; attempt: number }> = []
  let current = { writer: "none", attempt: 0 }
  const lose = () => {
    const loser = draw.pick([...losers, { writer: "stranger", attempt: current.attempt + 1 }])
    const choice = draw.below(choices)
    const position = draw.below(held[choice]! + 3)
    log.push(
      generated(loser.writer, loser.attempt, { choice, position, ids: [poison], texts: ["!"] }),
    )
    if (draw.below(4) === 0) log.push(finished(loser.writer, loser.attempt))
  }
  const claim = () => {
    losers.push(current)
    current = { writer: `w${log.length}`, attempt: current.attempt + 1 }
    log.push(claimed(current.attempt, current.writer))
    const rival = { writer: `rival${log.length}`, attempt: current.attempt }
    log.push(claimed(rival.attempt, rival.writer))
    losers.push(rival)
  }
  const write = () => {
    const choice = draw.below(choices)
    const position = Math.max(0, held[choice]! - draw.below(4))
    const count = held[choice]! - position + draw.below(3)
    const positions = Array.from({ length: count }, (_, i) => position + i)
    const tokens = positions.map((at) => honest(choice, at))
    const fields = { choice, position, ids: tokens, texts: tokens.map(String) }
    log.push(generated(current.writer, current.attempt, fields))
    held[choice] = Math.max(held[choice]!, position + count)
    const gap = { choice, position: held[choice] + 1 + draw.below(3), ids: [poison], texts: ["!"] }
    if (draw.below(5) === 0) log.push(generated(current.writer, current.attempt, gap))
  }
  claim()
  for (let i = 0; i < 60; i++) draw.pick([write, write, write, lose, claim])()
  log.push(draw.pick([finished(current.writer, current.attempt), cancelled]))
  for (let i = 0; i < 5; i++) draw.pick([write, lose, claim])()
  return { log, draw }
}

describe("any log", () => {
  it("gives each honest position once, in order, nothing of losers, one terminal last", () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const { log } = simulate(seed)
      const state = emptyState()
      const events = fold(log, state)
      const numbers = events.map(({ number }) => number)
      assert.deepStrictEqual(
        numbers,
        numbers.map((_, i) => i + 1),
        `seed ${seed}`,
      )
      for (const [choice, { tokens }] of state.choices.entries()) {
        const expected = Array.from({ length: tokens }, (_, position) => honest(choice, position))
        assert.deepStrictEqual(ids(events, choice), expected, `seed ${seed}`)
      }
      const terminals = events.filter(({ kind }) => kind === "terminal")
      assert.deepStrictEqual(terminals, [events.at(-1)], `seed ${seed}`)
      assert.strictEqual(completionTokens(state), events.length - 1, `seed ${seed}`)
      assert.strictEqual(state.events, events.length, `seed ${seed}`)
    }
  })

  it("folds to the same from any cut on, and with every frame delivered twice in a row", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const { log, draw } = simulate(seed)
      const whole = fold(log)
      const cut = draw.below(log.length)
      const state = emptyState()
      const before = fold(log.slice(0, cut), state)
      assert.deepStrictEqual([...before, ...fold(log.slice(cut), state)], whole, `seed ${seed}`)
      const doubled = log.flatMap((written) => [written, written])
      assert.deepStrictEqual(fold(doubled), whole, `seed ${seed}`)
    }
  })
})
