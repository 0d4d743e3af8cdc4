// Invariant 5: resume from any cursor ever given out gives the same suffix, byte for byte, in every
// dialect; and invariant 8: the parts of a stream add up to the whole answer.
import { assert, describe, it } from "@effect/vitest"
import type { RequestAccepted } from "../../../schemas/types.ts"
import { chatCollector, chatProjection } from "../../../src/api/answer/dialect/chat.ts"
import {
  completionsCollector,
  completionsProjection,
} from "../../../src/api/answer/dialect/completions.ts"
import type { MakeProjection } from "../../../src/api/answer/dialect/Projection.ts"
import { streamProjection } from "../../../src/api/answer/dialect/stream.ts"
import type { RequestEvent } from "../../../streams/fold/requestState.ts"
import { accepted, type Ending, eventsOf, facts, type Said } from "../../support/answer/events.ts"
import { makeRandom } from "../../support/tokenizer.ts"

const endings: ReadonlyArray<Ending> = [
  "finished",
  "failed",
  "cancelled",
  "expired",
  "deadLettered",
]
const texts = ["", "a", " b", "\n", "😀", '"']

/**
 * A request with random options, and its events: choices interleaved, text held back here and
 * there.
 */
const random = (seed: number) => {
  const draw = makeRandom(seed)
  const logprobs = draw(3) - 1
  const request = accepted({
    prompts: draw(2) === 0 ? [[1, 2]] : [[1, 2], [3]],
    n: 1 + draw(3),
    sampling: { logprobs },
    answer: {
      includeUsage: draw(2) === 0,
      echo: draw(2) === 0,
      echoTexts: ["p", "q"],
      returnTokenIds: draw(2) === 0,
    },
  })
  const choices = request.prompts.length * request.n
  const said: Array<Said> = []
  for (let i = 0; i < 12; i++) {
    said.push({
      choice: draw(choices),
      texts: Array.from({ length: 1 + draw(3) }, () => texts[draw(texts.length)] ?? ""),
      scored: logprobs >= 0,
    })
  }
  for (let choice = 0; choice < choices; choice++) {
    said.push({ choice, texts: ["."], finish: "stop", scored: logprobs >= 0 })
  }
  const ending = endings[draw(8)] ?? "finished"
  return { request, events: eventsOf(request, said, ending) }
}

const project = (
  make: MakeProjection,
  request: RequestAccepted,
  events: ReadonlyArray<RequestEvent>,
) => {
  const projection = make(request, facts)
  return { frames: events.flatMap(projection.push), needsHistory: projection.needsHistory }
}

const resume = (
  make: MakeProjection,
  request: RequestAccepted,
  events: ReadonlyArray<RequestEvent>,
  cursor: number,
) => {
  const { needsHistory } = project(make, request, [])
  const from = needsHistory ? 0 : cursor
  const { frames } = project(
    make,
    request,
    events.filter((event) => event.number > from),
  )
  return frames.filter((frame) => frame.cursor > cursor)
}

describe.each([
  ["completions", completionsProjection],
  ["chat", chatProjection],
  ["stream", streamProjection],
] as const)("%s", (_, make) => {
  it("gives the same suffix from every cursor", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const { request, events } = random(seed)
      const { frames } = project(make, request, events)
      for (let cursor = 0; cursor <= events.length; cursor++) {
        const suffix = frames.filter((frame) => frame.cursor > cursor)
        assert.deepStrictEqual(resume(make, request, events, cursor), suffix, `seed ${seed}`)
      }
    }
  })

  it("gives cursors that only rise, one frame an event but for the last", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const { request, events } = random(seed)
      const cursors = project(make, request, events).frames.map((frame) => frame.cursor)
      const tokens = cursors.filter((cursor) => cursor < events.length)
      assert.deepStrictEqual(
        tokens,
        [...new Set(tokens)].toSorted((a, b) => a - b),
        `seed ${seed}`,
      )
      assert.strictEqual(cursors.at(-1), events.length)
    }
  })
})

interface Part {
  readonly index: number
  readonly text?: string
  readonly delta?: { readonly content?: string }
  readonly logprobs: { readonly tokens?: ReadonlyArray<string> } | null
  readonly token_ids?: ReadonlyArray<number>
}

interface Whole extends Part {
  readonly message?: { readonly content: string }
}

describe("the parts of a stream", () => {
  it.each([
    ["completions", completionsProjection, completionsCollector],
    ["chat", chatProjection, chatCollector],
  ] as const)("add up to the whole answer: %s", (_, make, makeCollector) => {
    for (let seed = 1; seed <= 100; seed++) {
      const { request, events } = random(seed)
      const terminal = events.at(-1)
      if (terminal?.kind !== "terminal" || terminal.outcome !== "finished") continue
      const collector = makeCollector(request, facts)
      for (const event of events) if (event.kind === "token") collector.push(event)
      const wholes: ReadonlyArray<Whole> = JSON.parse(collector.body(terminal)).choices
      const parts: ReadonlyArray<Part> = project(make, request, events)
        .frames.filter(({ data }) => data !== "[DONE]")
        .flatMap(({ data }) => JSON.parse(data).choices)
      for (const whole of wholes) {
        const own = parts.filter((part) => part.index === whole.index)
        const text = own.map((part) => part.text ?? part.delta?.content ?? "").join("")
        assert.strictEqual(text, whole.text ?? whole.message?.content, `seed ${seed}`)
        const tokens = own.flatMap((part) => part.logprobs?.tokens ?? [])
        assert.deepStrictEqual(tokens, whole.logprobs?.tokens ?? [], `seed ${seed}`)
        if (request.answer.returnTokenIds) {
          const ids = own.flatMap((part) => part.token_ids ?? [])
          assert.deepStrictEqual(ids, whole.token_ids, `seed ${seed}`)
        }
      }
    }
  })
})
