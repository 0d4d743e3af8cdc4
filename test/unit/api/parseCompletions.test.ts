// Every rule of the completions body, as data: what is accepted becomes this draft, what is refused
// is refused with this code at this path.
import { assert, describe, it } from "vitest"
import { parseCompletions } from "../../../src/api/parse/completions.ts"
import { contextTokensMax } from "../../support/api/ApiServer.ts"
import { parsed, refused, requestId } from "../../support/api/parsing.ts"

const draft = (body: Readonly<Record<string, unknown>>) =>
  parsed(parseCompletions, { prompt: "hi", seed: 1, ...body })

describe("a completion's draft", () => {
  it("has OpenAI's defaults, and the model's where it recommends some", () => {
    assert.deepStrictEqual(draft({}), {
      requestId,
      model: "tales",
      tier: "default",
      tenant: "",
      dialect: "completions",
      promptCacheKey: null,
      grammar: null,
      tools: null,
      textFormat: null,
      prompts: [[1, 104, 105]],
      n: 1,
      sampling: {
        maxTokens: 16,
        minTokens: 0,
        temperature: 0.7,
        topP: 0.95,
        topK: 0,
        minP: 0,
        presencePenalty: 0,
        frequencyPenalty: 0,
        repetitionPenalty: 1,
        logitBias: [],
        seed: 1,
        stop: [],
        stopTokenIds: [],
        ignoreEos: false,
        logprobs: -1,
        promptLogprobs: -1,
        skipSpecialTokens: true,
        includeStop: false,
      },
      answer: {
        stream: false,
        includeUsage: false,
        echo: false,
        echoTexts: [],
        returnTokenIds: false,
        cancelOnDisconnect: false,
        serviceTier: null,
        user: null,
        clientId: null,
        response: null,
      },
      traceparent: null,
      timeoutMs: null,
      idempotency: null,
    })
  })

  it("draws a seed of 53 bits where none is given, another each time", () => {
    const seeds = Array.from({ length: 20 }, () => parsed(parseCompletions, { prompt: "hi" }))
    const drawn = new Set(seeds.map(({ sampling }) => sampling.seed))
    assert.strictEqual(drawn.size, 20)
    for (const seed of drawn) assert.isTrue(Number.isSafeInteger(seed) && seed >= 0)
    assert.isTrue([...drawn].some((seed) => seed > 2 ** 40))
  })

  const prompts: ReadonlyArray<readonly [unknown, ReadonlyArray<ReadonlyArray<number>>]> = [
    ["a", [[1, 97]]],
    [[5, 6], [[5, 6]]],
    [
      ["a", "b"],
      [
        [1, 97],
        [1, 98],
      ],
    ],
    [
      [[5], [6, 7]],
      [[5], [6, 7]],
    ],
    [
      ["a", [6, 7]],
      [
        [1, 97],
        [6, 7],
      ],
    ],
  ]
  it.each(prompts)("takes the prompt %j", (prompt, ids) => {
    assert.deepStrictEqual(draft({ prompt }).prompts, ids)
  })

  it("reads a prompt with a lone surrogate as text that UTF-8 can hold", () => {
    assert.deepStrictEqual(draft({ prompt: "\ud800" }).prompts, [[1, 0xef, 0xbf, 0xbd]])
  })

  const samplings: ReadonlyArray<readonly [Record<string, unknown>, Record<string, unknown>]> = [
    [{ max_tokens: 5 }, { maxTokens: 5 }],
    [{ temperature: 0 }, { temperature: 0 }],
    [
      { temperature: 2, top_p: 0.5 },
      { temperature: 2, topP: 0.5 },
    ],
    [{ top_p: 0 }, { topP: 1, topK: 1 }],
    [{ top_k: -1 }, { topK: 0 }],
    [{ top_k: 2 ** 40 }, { topK: 256 }],
    [{ temperature: 1e-300 }, { temperature: 0 }],
    [{ temperature: 0.001 }, { temperature: 0.01 }],
    [{ top_k: 0 }, { topK: 0 }],
    [
      { top_k: 40, min_p: 0.1 },
      { topK: 40, minP: 0.1 },
    ],
    [
      { presence_penalty: -2, frequency_penalty: 2, repetition_penalty: 1.2 },
      { presencePenalty: -2, frequencyPenalty: 2, repetitionPenalty: 1.2 },
    ],
    [{ logit_bias: { "50": -100 } }, { logitBias: [{ token: 50, bias: -100 }] }],
    [{ stop: "x" }, { stop: ["x"] }],
    [{ stop: ["x", "yz"] }, { stop: ["x", "yz"] }],
    [
      { stop: null, temperature: null, n: null },
      { stop: [], temperature: 0.7 },
    ],
    [{ seed: -5 }, { seed: -5 }],
    [{ logprobs: 0 }, { logprobs: 0, promptLogprobs: -1 }],
    [
      { logprobs: 3, echo: true },
      { logprobs: 3, promptLogprobs: 3 },
    ],
    [
      { ignore_eos: true, min_tokens: 3, stop_token_ids: [7] },
      { ignoreEos: true, minTokens: 3, stopTokenIds: [7] },
    ],
    [
      { skip_special_tokens: false, include_stop_str_in_output: true },
      { skipSpecialTokens: false, includeStop: true },
    ],
  ]
  it.each(samplings)("reads %j", (body, expected) => {
    assert.deepInclude(draft(body).sampling, expected)
  })

  const answers: ReadonlyArray<readonly [Record<string, unknown>, Record<string, unknown>]> = [
    [
      { stream: true, stream_options: { include_usage: true } },
      { stream: true, includeUsage: true },
    ],
    [{ echo: true }, { echo: true, echoTexts: ["hi"] }],
    [
      { echo: true, prompt: [104, 105] },
      { echo: true, echoTexts: ["hi"] },
    ],
    [
      { return_token_ids: true, cancel_on_disconnect: true },
      { returnTokenIds: true, cancelOnDisconnect: true },
    ],
    [{ user: "u" }, { user: "u" }],
    [{ service_tier: "auto" }, { serviceTier: "default" }],
    [{ service_tier: "flex" }, { serviceTier: "flex" }],
  ]
  it.each(answers)("writes the answer as %j asks", (body, expected) => {
    assert.deepInclude(draft(body).answer, expected)
  })

  const tiers: ReadonlyArray<readonly [Record<string, unknown>, string]> = [
    [{ service_tier: "priority" }, "priority"],
    [{ service_tier: "flex" }, "flex"],
    [{ priority: -1 }, "priority"],
    [{ priority: 10 }, "flex"],
    [{ priority: 10, service_tier: "auto" }, "flex"],
    [{ priority: 10, service_tier: "default" }, "default"],
  ]
  it.each(tiers)("queues %j in its tier", (body, tier) => {
    assert.strictEqual(draft(body).tier, tier)
  })

  it("ignores what nobody knows, and neutral values of what it cannot do", () => {
    draft({ nobody_knows: { a: 1 }, suffix: "", response_format: { type: "text" }, best_of: 1 })
    draft({ n: 2, best_of: 2, guided_json: null, bad_words: [] })
  })

  it("cuts the default length to what the context leaves, and no asked one", () => {
    const prompt = Array.from({ length: contextTokensMax - 3 }, () => 9)
    assert.strictEqual(draft({ prompt }).sampling.maxTokens, 3)
    assert.strictEqual(draft({ prompt, max_tokens: 3 }).sampling.maxTokens, 3)
  })
})

const long = Array.from({ length: contextTokensMax }, () => 9)

const wrong: ReadonlyArray<readonly [string, unknown, string, string | null]> = [
  ["a list", [], "invalid_value", null],
  ["null", null, "invalid_value", null],
  ["no prompt", {}, "missing_required_parameter", "prompt"],
  ["a null prompt", { prompt: null }, "missing_required_parameter", "prompt"],
  ["a number for a prompt", { prompt: 5 }, "invalid_value", "prompt"],
  ["an object for a prompt", { prompt: {} }, "invalid_value", "prompt"],
  ["no prompts", { prompt: [] }, "invalid_value", "prompt"],
  ["an empty id list", { prompt: [[]] }, "invalid_value", "prompt"],
  ["an id past the vocabulary", { prompt: [1, 256] }, "invalid_value", "prompt[1]"],
  ["a negative id", { prompt: [[1], [-1]] }, "invalid_value", "prompt[1][0]"],
  ["half an id", { prompt: [1, 1.5] }, "invalid_value", "prompt[1]"],
  ["ids mixed with text", { prompt: [1, "a"] }, "invalid_value", "prompt[1]"],
  ["a prompt in a prompt", { prompt: ["a", [["b"]]] }, "invalid_value", "prompt[1][0]"],
  ["too many prompts", { prompt: Array(129).fill("a") }, "invalid_value", "prompt"],
  ["a prompt as long as the context", { prompt: long }, "context_length_exceeded", "prompt"],
  ["too much in all", { prompt: "a", max_tokens: 511 }, "context_length_exceeded", "prompt"],
  ["another model", { prompt: "a", model: "gpt-4" }, "model_not_found", "model"],
  ["a number for a model", { prompt: "a", model: 4 }, "invalid_value", "model"],
  ["no choices", { prompt: "a", n: 0 }, "invalid_value", "n"],
  ["half a choice", { prompt: "a", n: 1.5 }, "invalid_value", "n"],
  ["too many choices", { prompt: ["a", "b"], n: 65 }, "invalid_value", "n"],
  ["no tokens", { prompt: "a", max_tokens: 0 }, "invalid_value", "max_tokens"],
  ["text for a number", { prompt: "a", max_tokens: "5" }, "invalid_value", "max_tokens"],
  ["a huge number", { prompt: "a", max_tokens: 1e300 }, "invalid_value", "max_tokens"],
  ["heat", { prompt: "a", temperature: 2.1 }, "invalid_value", "temperature"],
  ["cold", { prompt: "a", temperature: -0.1 }, "invalid_value", "temperature"],
  ["infinity", { prompt: "a", temperature: Infinity }, "invalid_value", "temperature"],
  ["top_p above 1", { prompt: "a", top_p: 1.1 }, "invalid_value", "top_p"],
  ["top_k below -1", { prompt: "a", top_k: -2 }, "invalid_value", "top_k"],
  ["min_p above 1", { prompt: "a", min_p: 2 }, "invalid_value", "min_p"],
  ["a large penalty", { prompt: "a", presence_penalty: 3 }, "invalid_value", "presence_penalty"],
  ["no repetition", { prompt: "a", repetition_penalty: 0 }, "invalid_value", "repetition_penalty"],
  ["a biased word", { prompt: "a", logit_bias: { cat: 1 } }, "invalid_value", "logit_bias"],
  ["a bias past the end", { prompt: "a", logit_bias: { 256: 1 } }, "invalid_value", "logit_bias"],
  ["a text bias", { prompt: "a", logit_bias: { 5: "1" } }, "invalid_value", "logit_bias.5"],
  ["a large bias", { prompt: "a", logit_bias: { 5: 101 } }, "invalid_value", "logit_bias.5"],
  ["a seed past 2^53", { prompt: "a", seed: 2 ** 53 }, "invalid_value", "seed"],
  ["a number to stop at", { prompt: "a", stop: 5 }, "invalid_value", "stop"],
  ["a number among stops", { prompt: "a", stop: ["a", 5] }, "invalid_value", "stop[1]"],
  ["nothing to stop at", { prompt: "a", stop: "" }, "invalid_value", "stop"],
  ["a long stop", { prompt: "a", stop: ["b".repeat(1025)] }, "invalid_value", "stop[0]"],
  ["many stops", { prompt: "a", stop: Array(17).fill("a") }, "invalid_value", "stop"],
  [
    "a stop id past the end",
    { prompt: "a", stop_token_ids: [256] },
    "invalid_value",
    "stop_token_ids[0]",
  ],
  [
    "many stop ids",
    { prompt: "a", stop_token_ids: Array(129).fill(1) },
    "invalid_value",
    "stop_token_ids",
  ],
  ["many logprobs", { prompt: "a", logprobs: 21 }, "invalid_value", "logprobs"],
  ["logprobs as in chat", { prompt: "a", logprobs: true }, "invalid_value", "logprobs"],
  ["min over max", { prompt: "a", min_tokens: 17 }, "invalid_value", "min_tokens"],
  ["a wordy switch", { prompt: "a", stream: "yes" }, "invalid_value", "stream"],
  ["options of no stream", { prompt: "a", stream_options: {} }, "invalid_value", "stream_options"],
  [
    "a wrong option",
    { prompt: "a", stream: true, stream_options: { include_usage: 1 } },
    "invalid_value",
    "stream_options.include_usage",
  ],
  ["an unknown tier", { prompt: "a", service_tier: "gold" }, "invalid_value", "service_tier"],
  ["best_of", { prompt: "a", best_of: 2 }, "unsupported_parameter", "best_of"],
  ["a suffix", { prompt: "a", suffix: "end" }, "unsupported_parameter", "suffix"],
  [
    "a format that nobody knows",
    { prompt: "a", response_format: { type: "xml" } },
    "invalid_value",
    "response_format.type",
  ],
]

describe("a completion is refused", () => {
  it.each(wrong)("for %s", (_, body, code, param) => {
    const refusal = refused(parseCompletions, body)
    assert.deepInclude(refusal, { code, param, status: code === "model_not_found" ? 404 : 400 })
  })

  it("with a sentence that names the field, what is allowed and what was found", () => {
    const sentences = [
      [
        { prompt: "a", temperature: "hot" },
        'temperature must be a number from 0 to 2, found the string "hot".',
      ],
      [{ prompt: "a", n: [] }, "n must be an integer of at least 1, found an array of 0."],
      [{ prompt: [1, 999] }, "prompt[1] must be a token id from 0 to 255, found 999."],
      [
        { prompt: "a", max_tokens: 511 },
        "This model's maximum context length is 512 tokens. However, 513 were requested (2 in " +
          "the prompt, 511 for the completion). Shorten the prompt or lower max_tokens.",
      ],
    ] as const
    for (const [body, sentence] of sentences) {
      assert.strictEqual(refused(parseCompletions, body).message, sentence)
    }
  })

  it("with a short sentence, however long the value", () => {
    const values = ["x".repeat(1e6), { ["k".repeat(1e6)]: 1 }, Array(1e5).fill("y")]
    for (const value of values) {
      for (const field of ["temperature", "model", "logit_bias", "stop"]) {
        if (field === "model" && typeof value === "string") continue
        const { message, param } = refused(parseCompletions, { prompt: "a", [field]: value })
        assert.isBelow(message.length, 300)
        assert.isBelow((param ?? "").length, 100)
      }
    }
    assert.isBelow(
      refused(parseCompletions, { prompt: "a", model: "x".repeat(1e6) }).message.length,
      300,
    )
  })
})
