// Traces of every format, from the published files and from hostile ones: requests as they were, or
// an error that names the line.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { splitRow } from "../../../src/replay/trace/csv.ts"
import { wallClockMs } from "../../../src/replay/trace/format/azure.ts"
import { openTrace } from "../../../src/replay/trace/openTrace.ts"
import { surveyTrace } from "../../../src/replay/trace/survey.ts"
import {
  bareRequest,
  type Format,
  formats,
  TraceError,
  type TraceRequest,
} from "../../../src/replay/trace/Trace.ts"
import { traceText } from "../../../src/replay/trace/writeTrace.ts"
import { hasShared, sharedPath } from "../../support/shared.ts"

const folder = mkdtempSync(join(tmpdir(), "sluice-trace-"))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0

const fileOf = (content: string | Buffer): string => {
  const path = join(folder, `trace-${files++}`)
  writeFileSync(path, content)
  return path
}

const readFile = (path: string, format: Format | null = null) => {
  const trace = openTrace(path, format)
  if (trace instanceof TraceError) return trace
  const requests: Array<TraceRequest> = []
  for (;;) {
    const next = trace.next()
    if (next instanceof TraceError) return next
    if (next === null) break
    requests.push(next)
  }
  trace.close()
  return requests
}

const requestsOf = (content: string | Buffer, format: Format | null = null) => {
  const read = readFile(fileOf(content), format)
  if (read instanceof TraceError) throw read
  return read
}

const errorOf = (content: string | Buffer, format: Format | null = null) => {
  const read = readFile(fileOf(content), format)
  assert.instanceOf(read, TraceError)
  return read instanceof TraceError ? [read.reason, read.line] : []
}

describe("the published traces", () => {
  it.runIf(hasShared("traces"))("Azure's, with CRLF and seven digits (needs shared/traces)", () => {
    const path = sharedPath("traces", "azure", "AzureLLMInferenceTrace_conv.csv")
    const read = readFile(path)
    if (read instanceof TraceError) throw read
    assert.strictEqual(read.length, 19_366)
    assert.strictEqual(read[0]?.atMs, 0)
    assert.closeTo(read[1]?.atMs ?? 0, 4314.579, 0.001)
    assert.deepInclude(read[1], { promptTokens: 396, outputTokens: 109, blocks: null })
    const survey = surveyTrace(path, null)
    assert.deepInclude(survey, { format: "azure", promptTokensMax: 14_050, hasTimes: true })
  })

  it.runIf(hasShared("traces"))("Mooncake's, with its blocks (needs shared/traces)", () => {
    const read = readFile(sharedPath("traces", "mooncake", "conversation_trace.jsonl"))
    if (read instanceof TraceError) throw read
    assert.strictEqual(read.length, 12_031)
    assert.deepInclude(read[3], { atMs: 0, promptTokens: 2290, outputTokens: 316 })
    assert.deepStrictEqual(read[3]?.blocks, { tokens: 512, hashes: ["0", "42", "43", "44", "45"] })
    assert.strictEqual(read.at(-1)?.atMs, 3_536_999)
  })
})

describe("formats", () => {
  it("BurstGPT's columns are found by name, wherever they stand", () => {
    const head = "Log Type,Response tokens,Model,Timestamp,Request tokens\n"
    const [first, second] = requestsOf(`${head}API log,9,"GPT-4, new",5.5,100\na,0,b,7,3\n`)
    assert.deepInclude(first, { atMs: 0, promptTokens: 100, outputTokens: 9 })
    assert.deepInclude(second, { atMs: 1500, promptTokens: 3, outputTokens: 0 })
  })

  it("ShareGPT's array, with brackets in its texts, element by element", () => {
    const turns = (asked: string) => [
      { from: "human", value: asked },
      { from: "gpt", value: "a]},{" },
    ]
    const text = JSON.stringify(
      [
        { id: "1", conversations: turns('[{"\\') },
        { conversations: [] },
        { conversation: turns("é") },
      ],
      null,
      2,
    )
    const read = requestsOf(text)
    assert.deepStrictEqual(
      read.map(({ prompt }) => prompt),
      [
        { kind: "text", text: '[{"\\' },
        { kind: "text", text: "é" },
      ],
    )
    assert.strictEqual(read[0]?.answer?.choices[0]?.text, "a]},{")
  })

  it("vLLM's custom data sets and detailed results", () => {
    const [line] = requestsOf('{"prompt":"Hello","output_tokens":12}\n')
    assert.deepInclude(line, { prompt: { kind: "text", text: "Hello" }, outputTokens: 12 })
    const result = { input_lens: [3, 4], output_lens: [5, 6], start_times: [10.5, 11], ttfts: [1] }
    const [, second] = requestsOf(JSON.stringify(result))
    assert.deepInclude(second, { atMs: 500, promptTokens: 4, outputTokens: 6 })
  })

  it("plain prompts, one a line, without byte order mark and returns", () => {
    const read = requestsOf("\uFEFFOnce upon\r\n\r\na time")
    assert.deepStrictEqual(
      read.map(({ prompt }) => prompt),
      [
        { kind: "text", text: "Once upon" },
        { kind: "text", text: "a time" },
      ],
    )
  })

  const full: TraceRequest = {
    atMs: 0,
    promptTokens: 33,
    outputTokens: 2,
    blocks: { tokens: 16, hashes: ["a", "b"] },
    prompt: { kind: "ids", prompts: [[1, 2], [3]] },
    params: { max_tokens: 2, seed: 5 },
    answer: {
      outcome: "finished",
      choices: [{ ids: [8, 9], text: " end", finish: "stop" }],
      ttftMs: 12,
      e2eMs: 30.5,
      frames: [
        [12, 1],
        [30.5, 1],
      ],
    },
    id: "req-1",
  }

  it("ours gives back all that was written", () => {
    const head = { model: "tales", blockTokens: 16, redacted: false }
    const writer = traceText("sluice", head)
    const bare = { ...bareRequest, atMs: 4, params: null }
    const text = { ...bareRequest, atMs: 5, prompt: { kind: "text" as const, text: "a\nb" } }
    const requests = [full, bare, text]
    const written = writer.head + requests.map(writer.request).join("") + writer.foot
    assert.deepStrictEqual(requestsOf(written), requests)
  })

  it("every format that is written is read again, as far as it can say things", () => {
    const request: TraceRequest = {
      ...bareRequest,
      atMs: 1_700_000_000_125,
      promptTokens: 600,
      outputTokens: 4,
      prompt: { kind: "text", text: "Hello" },
    }
    const later = { ...request, atMs: 1_700_000_001_375 }
    for (const format of formats) {
      const writer = traceText(format, { model: null, blockTokens: 16, redacted: true })
      const text = writer.head + writer.request(request) + writer.request(later) + writer.foot
      const [first, second, ...none] = requestsOf(text)
      assert.deepStrictEqual(none, [], format)
      const hasTimes = ["sluice", "mooncake", "azure", "burstgpt"].includes(format)
      assert.strictEqual(second?.atMs ?? null, hasTimes ? 1250 : null, format)
      const hasPrompt = ["sluice", "vllm", "sharegpt", "prompts"].includes(format)
      assert.strictEqual(first?.prompt?.kind, hasPrompt ? "text" : undefined, format)
      const hasLengths = hasTimes || format === "vllm"
      assert.strictEqual(first?.promptTokens ?? null, hasLengths ? 600 : null, format)
    }
  })
})

describe("wall clock times", () => {
  it("keep up to nine digits, know zones, and refuse what is no day", () => {
    const base = Date.UTC(2024, 4, 10)
    assert.closeTo((wallClockMs("2024-05-10 00:00:00.0099301") ?? 0) - base, 9.9301, 1e-3)
    assert.strictEqual(wallClockMs("2024-05-10 02:00:00+02:00"), base)
    assert.strictEqual(wallClockMs("2024-05-10T00:00:00Z"), base)
    for (const text of ["2024-02-30 00:00:00", "2024-05-10 25:00:00", "NaN", "", "2024-05-10"]) {
      assert.isNull(wallClockMs(text), text)
    }
  })
})

describe("hostile files", () => {
  const good = '{"timestamp":0,"input_length":5,"output_length":5,"hash_ids":[1]}'

  it("a line that was cut off, by its number", () => {
    assert.deepStrictEqual(errorOf(`${good}\n\n${good.slice(0, 30)}`), ["notJson", 3])
  })

  it("numbers that are none", () => {
    const wrong = ["-1", "1.5", "1e99", '"NaN"', "null", "[]", "99999999999"]
    for (const value of wrong) {
      const line = `{"timestamp":0,"input_length":${value},"output_length":5}`
      assert.deepStrictEqual(errorOf(`${good}\n${line}`), ["wrongValue", 2], value)
    }
    assert.deepStrictEqual(errorOf('{"timestamp":0,"input_length":1}'), ["missing", 1])
    const ids = '{"timestamp":0,"input_length":1,"output_length":1,"hash_ids":[1,"x"]}'
    assert.deepStrictEqual(errorOf(ids), ["wrongValue", 1])
    assert.deepStrictEqual(errorOf(`${good}\n[1,2]`), ["wrongValue", 2])
    const csv = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    assert.deepStrictEqual(errorOf(`${csv}2023-11-16 18:15:46,NaN,4\r\n`), ["wrongValue", 2])
    assert.deepStrictEqual(errorOf(`${csv}2023-11-16 18:15:46,5\r\n`), ["wrongValue", 2])
    assert.deepStrictEqual(errorOf(`${csv}soon,5,5\r\n`), ["wrongValue", 2])
  })

  it("a time that goes back", () => {
    const later = good.replace('"timestamp":0', '"timestamp":9')
    assert.strictEqual(errorOf(`${later}\n${good}`)[0], "timeGoesBack")
  })

  it("a line that is too long, without reading it whole", () => {
    const line = Buffer.alloc(17 * 1024 * 1024, "x")
    assert.deepStrictEqual(errorOf(Buffer.concat([Buffer.from("a\n"), line]), "prompts"), [
      "lineTooLong",
      2,
    ])
    const element = Buffer.concat([Buffer.from('[\n"'), line])
    assert.strictEqual(errorOf(element)[0], "lineTooLong")
  })

  it("an array that does not end, brackets without end, no bytes at all, no file", () => {
    assert.strictEqual(errorOf('[{"conversations":[')[0], "cutOff")
    assert.strictEqual(errorOf("[".repeat(100_000))[0], "cutOff")
    assert.deepStrictEqual(errorOf(""), ["empty", 0])
    assert.deepStrictEqual(errorOf("\uFEFF\r\n"), ["empty", 0])
    assert.deepStrictEqual(errorOf('{"other":1}'), ["unknownFormat", 1])
    const missing = readFile(join(folder, "no-such-file"))
    assert.match(missing instanceof TraceError ? missing.message : "", /there is no such file$/)
    assert.instanceOf(readFile(folder), TraceError)
  })

  it("random bytes and every byte of a good file changed never throw", () => {
    const bytes = Buffer.from(`${good}\n${good}\n`)
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes)
      damaged[at] = (at * 37) & 0xff
      readFile(fileOf(damaged))
    }
    for (const format of formats)
      readFile(fileOf(Buffer.from(Array.from({ length: 3000 }, (_, i) => i))), format)
  })

  it("a newer version of our own format is refused", () => {
    assert.deepStrictEqual(errorOf('{"sluice_trace":2,"block_tokens":16}'), ["wrongValue", 1])
  })
})

describe("rows of a CSV", () => {
  it("with quotes, empty cells and blanks", () => {
    assert.deepStrictEqual(splitRow('a, "b,""c""" ,,d'), ["a", 'b,"c"', "", "d"])
    assert.deepStrictEqual(splitRow("a,"), ["a", ""])
    assert.isNull(splitRow('a,"b'))
    assert.isNull(splitRow('"b"c'))
  })
})
