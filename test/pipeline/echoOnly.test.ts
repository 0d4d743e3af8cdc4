// max_tokens 0 with echo: the answer is the prompt, scored where logprobs were asked for, through
// worker, log and fold to the client, streamed and whole.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  completionsCollector,
  completionsProjection,
} from "../../src/api/answer/dialect/completions.ts"
import type { ModelFacts } from "../../src/api/answer/dialect/Projection.ts"
import type { RequestAccepted } from "../../schemas/types.ts"
import { accepted, letters } from "../support/generate.ts"
import { plainAnswer } from "../support/requestParts.ts"
import { isEnded, makeWorld } from "../support/workerWorld.ts"

const facts: ModelFacts = letters

const answer = { ...plainAnswer, echo: true, echoTexts: ["Hi", "Bye"], includeUsage: true }

const request = (logprobs: number): RequestAccepted =>
  accepted(
    { maxTokens: 0, logprobs, promptLogprobs: logprobs },
    { n: 1, prompts: [[...Buffer.from("Hi")], [...Buffer.from("Bye")]], answer },
  )

interface Choice {
  readonly index: number
  readonly text: string
  readonly finish_reason: string | null
  readonly logprobs: null | {
    readonly tokens: ReadonlyArray<string>
    readonly token_logprobs: ReadonlyArray<number | null>
    readonly text_offset: ReadonlyArray<number>
  }
}

const ended = Effect.fnUntraced(function* (asked: RequestAccepted) {
  const world = yield* makeWorld
  yield* world.worker()
  yield* world.send(asked)
  const { terminal } = yield* world.until(asked.requestId, isEnded)
  assert.strictEqual(terminal?.outcome, "finished")
  if (terminal === null) throw new Error("it did not end")
  return terminal
})

const choicesOf = (data: string): ReadonlyArray<Choice> => JSON.parse(data).choices

describe("an answer of no tokens", () => {
  it.live("is each choice's prompt, streamed and whole alike", () =>
    Effect.gen(function* () {
      const asked = request(-1)
      const terminal = yield* ended(asked)
      const whole = choicesOf(completionsCollector(asked, facts).body(terminal))
      const frames = completionsProjection(asked, facts).push(terminal)
      const streamed = frames.slice(0, 2).flatMap(({ data }) => choicesOf(data))
      for (const choices of [whole, streamed]) {
        assert.deepStrictEqual(
          choices.map(({ text, finish_reason, logprobs }) => [text, finish_reason, logprobs]),
          [
            ["Hi", "length", null],
            ["Bye", "length", null],
          ],
        )
      }
      assert.deepStrictEqual(
        frames.map(({ cursor }) => cursor),
        [1, 1, 1, 1],
      )
      assert.strictEqual(JSON.parse(frames[2]?.data ?? "").usage.completion_tokens, 0)
      assert.strictEqual(frames[3]?.data, "[DONE]")
    }),
  )

  it.live("has the prompt's logprobs", () =>
    Effect.gen(function* () {
      const asked = request(1)
      const terminal = yield* ended(asked)
      const whole = choicesOf(completionsCollector(asked, facts).body(terminal))
      const streamed = completionsProjection(asked, facts)
        .push(terminal)
        .slice(0, 2)
        .flatMap(({ data }) => choicesOf(data))
      assert.deepStrictEqual(
        streamed.map(({ logprobs }) => logprobs),
        whole.map(({ logprobs }) => logprobs),
      )
      assert.deepStrictEqual(whole[1]?.logprobs?.tokens, ["B", "y", "e"])
      assert.deepStrictEqual(whole[1]?.logprobs?.text_offset, [0, 1, 2])
      const [first, ...rest] = whole[1]?.logprobs?.token_logprobs ?? []
      assert.isNull(first)
      for (const logprob of rest) assert.isBelow(logprob ?? 0, 0)
    }),
  )
})
