// Dialects that count their own frames: the same suffix from every cursor (invariant 5), counts
// without gap, and the highest cursor known from the number of events alone.
import { assert, describe, it } from "@effect/vitest"
import type { RequestAccepted } from "../../../schemas/types.ts"
import type { MakeProjection } from "../../../src/api/answer/dialect/Projection.ts"
import { responsesProjection } from "../../../src/api/answer/dialect/responses.ts"
import { uiProjection } from "../../../src/api/answer/dialect/ui.ts"
import type { RequestEvent } from "../../../streams/fold/requestState.ts"
import { accepted, type Ending, eventsOf, facts, type Said } from "../../support/answer/events.ts"
import { makeRandom } from "../../support/tokenizer.ts"

const endings: ReadonlyArray<Ending> = [
  "finished",
  "finished",
  "failed",
  "cancelled",
  "expired",
  "deadLettered",
]
const texts = ["", "a", " b", "\n", "😀", '"']

const response = {
  background: false,
  store: true,
  instructions: null,
  previousResponseId: null,
  maxOutputTokens: null,
  metadata: [],
  conversation: [],
}

/** One choice of a few tokens, or of none at all, and an end. */
const random = (seed: number) => {
  const draw = makeRandom(seed)
  const logprobs = draw(3) - 1
  const background = draw(2) === 0
  const request = accepted({
    sampling: { logprobs },
    answer: { response: { ...response, background } },
  })
  const said: Array<Said> = Array.from({ length: draw(5) }, () => ({
    texts: Array.from({ length: 1 + draw(3) }, () => texts[draw(texts.length)] ?? ""),
    scored: logprobs >= 0,
  }))
  const ending = endings[draw(endings.length)] ?? "finished"
  if (ending === "finished" && draw(4) > 0) {
    said.push({ texts: ["."], finish: draw(2) === 0 ? "stop" : "length", scored: logprobs >= 0 })
  }
  return { request, events: eventsOf(request, said, ending) }
}

const project = (
  make: MakeProjection,
  request: RequestAccepted,
  events: ReadonlyArray<RequestEvent>,
) => {
  const projection = make(request, facts)
  return [...projection.begin(), ...events.flatMap(projection.push)]
}

describe.each([
  ["responses", responsesProjection],
  ["ui", uiProjection],
] as const)("%s", (_name, make) => {
  it("counts its frames from 1, without gap", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const { request, events } = random(seed)
      const cursors = project(make, request, events).map(({ cursor }) => cursor)
      assert.deepStrictEqual(
        cursors,
        cursors.map((_, i) => i + 1),
      )
    }
  })

  it("knows its highest cursor from the number of events", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const { request, events } = random(seed)
      for (let count = 0; count <= events.length; count++) {
        const last = events[count - 1]
        const terminal = last?.kind === "terminal" ? last : null
        const frames = project(make, request, events.slice(0, count))
        const highest = make(request, facts).cursorOf({ events: count, terminal })
        assert.strictEqual(highest, frames.at(-1)?.cursor, `seed ${seed}, ${count} events`)
      }
    }
  })

  it("gives the same frames again, and idle ones move no cursor", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const { request, events } = random(seed)
      const projection = make(request, facts)
      const idling = [...projection.begin()]
      for (const event of events) {
        JSON.parse(projection.idle().data)
        idling.push(...projection.push(event))
      }
      assert.deepStrictEqual(idling, project(make, request, events), `seed ${seed}`)
    }
  })
})

describe("responses", () => {
  const numberOf = (data: string): unknown => JSON.parse(data).sequence_number

  it("numbers an idle event as the last one before it", () => {
    const request = accepted()
    const projection = responsesProjection(request, facts)
    const frames = [...projection.begin()]
    for (const event of eventsOf(request, [{ texts: ["a", "b"] }], null)) {
      assert.strictEqual(numberOf(projection.idle().data), numberOf(frames.at(-1)?.data ?? ""))
      frames.push(...projection.push(event))
    }
  })

  it("says how a request ended that did not finish, with what there is of its text", () => {
    const endOf = (ending: Ending) => {
      const request = accepted()
      const frames = project(
        responsesProjection,
        request,
        eventsOf(request, [{ texts: ["a"] }], ending),
      )
      const { type, response: shown } = JSON.parse(frames.at(-1)?.data ?? "")
      assert.strictEqual(shown.output[0].content[0].text, "a")
      assert.strictEqual(shown.output[0].status, "incomplete")
      return [type, shown.status, shown.error?.message ?? null]
    }
    assert.deepStrictEqual(endOf("cancelled"), ["response.incomplete", "cancelled", null])
    assert.deepStrictEqual(endOf("failed"), ["response.failed", "failed", "The engine died."])
    assert.strictEqual(endOf("expired")[0], "response.failed")
    assert.strictEqual(endOf("deadLettered")[2], "Three workers died of it.")
  })
})
