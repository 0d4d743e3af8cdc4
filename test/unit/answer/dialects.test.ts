// Golden transcripts of each dialect: which event makes which bytes. They change only when the
// answers that clients read are meant to change.
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
import {
  accepted,
  type Ending,
  eventsOf,
  facts,
  logprob,
  requestId,
  tokenEvents,
} from "../../support/answer/events.ts"

const show = (
  make: MakeProjection,
  request: RequestAccepted,
  events: ReadonlyArray<RequestEvent>,
) => {
  const projection = make(request, facts)
  return events.flatMap(projection.push).map(({ cursor, data }) => `${cursor} ${data}`)
}

const head = (object: string) =>
  `{"id":"${requestId}","object":"${object}","created":1800000000,"model":"tales",` +
  `"system_fingerprint":"fp_tales_1","choices":[`
const text = head("text_completion")
const chunk = head("chat.completion.chunk")
const usage =
  `"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6,` +
  `"prompt_tokens_details":{"cached_tokens":2}}`

const frame = (cursor: number, start: string, choice: string) => `${cursor} ${start}${choice}]}`
const open = `"logprobs":null,"finish_reason":null`
const stopped = `"logprobs":null,"finish_reason":"stop","stop_reason":null`
const cutOff = `"logprobs":null,"finish_reason":"length","stop_reason":null`

const said = [{ texts: ["Once", ""] }, { texts: [' "upon"'], finish: "stop" as const }]

describe("completions", () => {
  it("shows a frame for each event that says something, and [DONE]", () => {
    const request = accepted()
    assert.deepStrictEqual(show(completionsProjection, request, eventsOf(request, said)), [
      frame(1, text, `{"index":0,"text":"Once",${open}}`),
      frame(3, text, `{"index":0,"text":" \\"upon\\"",${stopped}}`),
      `4 [DONE]`,
    ])
  })

  it("ends with the usage where it was asked for, null before", () => {
    const request = accepted({ answer: { includeUsage: true } })
    assert.deepStrictEqual(show(completionsProjection, request, eventsOf(request, said)), [
      `1 ${text}{"index":0,"text":"Once",${open}}],"usage":null}`,
      `3 ${text}{"index":0,"text":" \\"upon\\"",${stopped}}],"usage":null}`,
      `4 ${text}],${usage}}`,
      `4 [DONE]`,
    ])
  })

  it("echoes the prompt with the first token, and its token ids where asked for", () => {
    const request = accepted({
      answer: { echo: true, echoTexts: ["Tell: "], returnTokenIds: true },
    })
    const events = eventsOf(request, [{ texts: ["", "Once"], finish: "length" }])
    assert.deepStrictEqual(show(completionsProjection, request, events), [
      frame(
        1,
        text,
        `{"index":0,"text":"Tell: ",${open},"prompt_token_ids":[1,2,3],"token_ids":[100]}`,
      ),
      frame(2, text, `{"index":0,"text":"Once",${cutOff},"token_ids":[101]}`),
      `3 [DONE]`,
    ])
  })

  it("gives every logprob once, also of held-back text, with the echoed prompt's before", () => {
    const request = accepted({
      answer: { echo: true, echoTexts: ["P"] },
      sampling: { logprobs: 2, promptLogprobs: 2 },
    })
    const scores = [logprob(-0.5), logprob(-0.25)]
    const events = eventsOf(
      request,
      [{ texts: ["", "ab"], finish: "stop", scored: true }],
      "finished",
      scores,
    )
    const top = (value: number, own: string) => `{"<7>":${value / 2},"<8>":-9999,"${own}":${value}}`
    assert.deepStrictEqual(show(completionsProjection, request, events), [
      `1 ${text}{"index":0,"text":"P","logprobs":{"tokens":["<1>","<2>","<3>","<100>"],` +
        `"token_logprobs":[null,-0.5,-0.25,-1],` +
        `"top_logprobs":[null,${top(-0.5, "<2>")},${top(-0.25, "<3>")},${top(-1, "<100>")}],` +
        `"text_offset":[0,0,3,6]},"finish_reason":null}]}`,
      `2 ${text}{"index":0,"text":"ab","logprobs":{"tokens":["<101>"],"token_logprobs":[-2],` +
        `"top_logprobs":[${top(-2, "<101>")}],"text_offset":[11]},` +
        `"finish_reason":"stop","stop_reason":null}]}`,
      `3 [DONE]`,
    ])
  })

  it("answers once and whole with the same texts, logprobs and ids", () => {
    const request = accepted({
      n: 2,
      answer: { returnTokenIds: true, echo: true, echoTexts: ["P "] },
      sampling: { logprobs: 0, stop: ["42"] },
    })
    const events = eventsOf(request, [
      { choice: 1, texts: ["b"], finish: "stop", stopReason: "42", scored: true },
      { texts: ["a", "c"], finish: "stop", stopReason: "101", scored: true },
    ])
    const collector = completionsCollector(request, facts)
    tokenEvents(events).forEach(collector.push)
    const terminal = events.at(-1)
    assert.isTrue(terminal?.kind === "terminal")
    if (terminal?.kind !== "terminal") return
    const body = JSON.parse(collector.body(terminal))
    assert.strictEqual(body.object, "text_completion")
    assert.deepStrictEqual(
      body.choices.map((choice: Record<string, unknown>) => [
        choice["index"],
        choice["text"],
        choice["finish_reason"],
        choice["stop_reason"],
        choice["token_ids"],
        choice["prompt_token_ids"],
      ]),
      [
        [0, "P ac", "stop", 101, [100, 101], [1, 2, 3]],
        [1, "P b", "stop", "42", [100], [1, 2, 3]],
      ],
    )
    assert.deepStrictEqual(body.choices[0].logprobs.text_offset, [0, 0, 3, 6, 11])
    assert.deepStrictEqual(body.usage.completion_tokens, 3)
  })
})

describe("chat", () => {
  it("gives the role with a choice's first event, although its text is held back", () => {
    const request = accepted({ dialect: "chat", n: 2, answer: { serviceTier: "auto" } })
    const events = eventsOf(request, [
      { texts: [""] },
      { choice: 1, texts: ["x", "y"], finish: "length" },
      { texts: ["z"], finish: "stop" },
    ])
    const tiered = chunk.replace(`"choices"`, `"service_tier":"default","choices"`)
    assert.deepStrictEqual(show(chatProjection, request, events), [
      frame(1, tiered, `{"index":0,"delta":{"role":"assistant","content":""},${open}}`),
      frame(2, tiered, `{"index":1,"delta":{"role":"assistant","content":"x"},${open}}`),
      frame(3, tiered, `{"index":1,"delta":{"content":"y"},${cutOff}}`),
      frame(4, tiered, `{"index":0,"delta":{"content":"z"},${stopped}}`),
      `5 [DONE]`,
    ])
  })

  it("shows logprobs with bytes, and prompt ids once", () => {
    const request = accepted({
      dialect: "chat",
      sampling: { logprobs: 1 },
      answer: { returnTokenIds: true },
    })
    const events = eventsOf(request, [{ texts: ["a"], finish: "stop", scored: true }])
    const bytes = (id: number) => JSON.stringify([...Buffer.from(`<${id}>`)])
    assert.deepStrictEqual(show(chatProjection, request, events), [
      `1 ${chunk.replace(`"choices"`, `"prompt_token_ids":[1,2,3],"choices"`)}` +
        `{"index":0,"delta":{"role":"assistant","content":"a"},"logprobs":{"content":[` +
        `{"token":"<100>","logprob":-1,"bytes":${bytes(100)},"top_logprobs":[` +
        `{"token":"<7>","logprob":-0.5,"bytes":${bytes(7)}},` +
        `{"token":"<8>","logprob":-9999,"bytes":${bytes(8)}}]}],` +
        `"refusal":null},"finish_reason":"stop","stop_reason":null,"token_ids":[100]}]}`,
      `2 [DONE]`,
    ])
  })

  it("answers once and whole", () => {
    const request = accepted({ dialect: "chat", sampling: { logprobs: 1 } })
    const events = eventsOf(request, [{ texts: ["a", "b"], finish: "stop", scored: true }])
    const collector = chatCollector(request, facts)
    tokenEvents(events).forEach(collector.push)
    const terminal = events.at(-1)
    if (terminal?.kind !== "terminal") throw new Error("the events have no end")
    const { choices } = JSON.parse(collector.body(terminal))
    assert.deepStrictEqual(choices[0].message, {
      role: "assistant",
      content: "ab",
      refusal: null,
    })
    assert.strictEqual(choices[0].logprobs.content.length, 2)
  })
})

describe("the WebSocket's dialect", () => {
  it("numbers every delta from 0 and ends with [DONE]", () => {
    const request = accepted({ dialect: "stream" })
    assert.deepStrictEqual(show(streamProjection, request, eventsOf(request, said)), [
      `1 {"request_id":"${requestId}","delta":"Once","index":0,"cursor":1}`,
      `2 {"delta":"","index":1,"cursor":2}`,
      `3 {"delta":" \\"upon\\"","index":2,"cursor":3,"finish_reason":"stop","stop_reason":null}`,
      `4 {"request_id":"${requestId}","delta":"[DONE]","cursor":4,${usage}}`,
    ])
  })

  it("puts the client's id first in every message", () => {
    const request = accepted({ dialect: "stream", n: 2, answer: { clientId: 'a"b' } })
    const events = eventsOf(request, [{ choice: 1, texts: ["x"] }], "cancelled")
    for (const one of show(streamProjection, request, events)) {
      assert.match(one, /^\d+ \{"id":"a\\"b",/)
    }
  })
})

describe("a request that ended badly", () => {
  const codes: ReadonlyArray<readonly [Ending, string]> = [
    ["failed", "generation_failed"],
    ["cancelled", "request_cancelled"],
    ["expired", "deadline_exceeded"],
    ["deadLettered", "dead_lettered"],
  ]
  it.each(codes)("%s is told as an error object with code %s, then [DONE]", (ending, code) => {
    for (const make of [completionsProjection, chatProjection, streamProjection]) {
      const request = accepted({ answer: { includeUsage: true } })
      const frames = show(make, request, eventsOf(request, [{ texts: ["a"] }], ending)).slice(-2)
      assert.strictEqual(JSON.parse(frames[0]?.slice(2) ?? "").error.code, code)
      assert.match(frames[1] ?? "", /\[DONE\]/)
      for (const one of frames) assert.match(one, /^2 /)
    }
  })
})
