// What a report says: vLLM's names, a page that asks nobody for anything, and a comparison that
// finds a difference where there is one and none where there is none.
import { assert, describe, it } from "@effect/vitest"
import { noObjectives } from "../../../src/replay/measure/objectives.ts"
import { Tally } from "../../../src/replay/measure/Tally.ts"
import { seeded } from "../../../src/replay/plan/random.ts"
import { compareHtml, compareLines, compareReports } from "../../../src/replay/report/compare.ts"
import { reportHtml } from "../../../src/replay/report/html.ts"
import { roundSteps } from "../../../src/replay/report/plot.ts"
import { parseReport, type ReportData } from "../../../src/replay/report/Report.ts"
import { tableLines } from "../../../src/replay/report/table.ts"
import { reportJson } from "../../../src/replay/report/vllmJson.ts"
import { addVerified, Verification } from "../../../src/replay/verify/verify.ts"
import { bareRequest, type RecordedChoice } from "../../../src/replay/trace/Trace.ts"

const hostile = `</script><img src="http://evil" onerror='x'>&\u001b[2J`

/** 60 s of load; e2e has the given median, and bursts that last for seconds. */
const run = (seed: number, medianMs: number): ReportData => {
  const objectives = { ...noObjectives, e2eMs: 300 }
  const tally = new Tally(objectives, 5)
  const random = seeded(seed)
  for (let i = 0; i < 3000; i++) {
    const dueMs = i * 20
    const burst = 1 + 0.3 * Math.sin(dueMs / 1500)
    const e2eMs = medianMs * burst * (0.5 + random())
    tally.sent(dueMs, random() * 6, 3)
    tally.tokens(dueMs + e2eMs, 10)
    tally.gap(dueMs, e2eMs / 10)
    tally.ended({
      dueMs,
      endMs: dueMs + e2eMs,
      failure: i % 100 === 0 ? "tooManyRequests" : null,
      detail: hostile,
      retryAfter: i % 100 === 0,
      ttftMs: e2eMs / 4,
      e2eMs,
      gapMs: e2eMs / 8,
      promptTokens: 7,
      outputTokens: 10,
    })
  }
  return {
    version: 1,
    name: `run ${hostile}`,
    target: "http://host",
    model: hostile,
    startedAt: "2026-01-31T23:59:59.000Z",
    load: "trace, 2 times its own speed",
    objectives,
    lateMs: 5,
    durationMs: 60_000,
    stopped: false,
    processes: 1,
    notes: [hostile],
    tally: tally.toData(),
    scraped: [{ name: hostile, points: [[0, 1]] }],
    verify: null,
  }
}

describe("a report", () => {
  const report = run(1, 200)

  it("as JSON has vLLM's names at its top and is read back whole", () => {
    const text = reportJson(report)
    const top: Record<string, unknown> = JSON.parse(text)
    assert.deepInclude(top, {
      date: "20260131-235959",
      num_prompts: 3000,
      completed: 2970,
      failed: 30,
      duration: 60,
      total_input_tokens: 2970 * 7,
      request_throughput: 49.5,
    })
    for (const name of ["ttft", "tpot", "itl", "e2el"]) {
      for (const of of ["mean", "median", "std", "p99"]) {
        assert.isAbove(Number(top[`${of}_${name}_ms`]), 0, `${of} ${name}`)
      }
    }
    assert.deepStrictEqual(parseReport(text), report)
    for (const other of ["", "{}", '{"sluice":{"version":1}}', "[", '{"sluice":null}']) {
      assert.isNull(parseReport(other))
    }
  })

  it("as a page asks nobody for anything, and shows foreign words as words", () => {
    const page = reportHtml(report)
    assert.notMatch(page, /<(script|img|link|iframe|object)\b/i)
    assert.notMatch(page, /\b(src|href)=["']|url\(|@import/i)
    assert.include(page, "default-src 'none'")
    assert.include(page, "prefers-color-scheme:dark")
    assert.isAbove(page.match(/<svg/g)?.length ?? 0, 10)
    assert.notInclude(page, "NaN")
  })

  it("as a table keeps a server's words from moving the cursor", () => {
    const text = tableLines(report).join("\n")
    assert.notInclude(text, "\u001b")
    assert.match(text, /Requests +3000 \(50\/s\): 2970 answered, 30 failed/)
    assert.match(text, /tooManyRequests +30/)
  })

  it("of nothing is still a report", () => {
    const empty = { ...report, tally: new Tally(noObjectives, 5).toData(), durationMs: 0 }
    assert.notInclude(reportHtml(empty) + tableLines(empty).join(""), "NaN")
    assert.isNotNull(parseReport(reportJson(empty)))
  })
})

describe("a comparison", () => {
  const verdicts = (a: ReportData, b: ReportData) =>
    new Map(compareReports(a, b).map(({ name, verdict }) => [name, verdict]))

  it("finds none between two runs of the same", () => {
    const found = [...verdicts(run(1, 200), run(2, 200))]
    const differing = found.filter(([, verdict]) => verdict !== "no difference")
    // Of fourteen intervals of 95 % one may miss.
    assert.isAtMost(differing.length, 1, JSON.stringify(found))
  })

  it("finds a slower one, and which way it is", () => {
    const slower = verdicts(run(1, 200), run(2, 260))
    assert.strictEqual(slower.get("end to end, p50"), "worse")
    assert.strictEqual(slower.get("within objectives"), "worse")
    assert.strictEqual(verdicts(run(2, 260), run(1, 200)).get("first token, p90"), "better")
    assert.match(compareLines(run(1, 200), run(2, 260)).join("\n"), /\+\d+.*worse/)
    assert.include(compareHtml(run(1, 200), run(2, 260)), "<svg")
  })

  it("says so where a run is too short", () => {
    const short = run(1, 200)
    const bins = short.tally.timeline.bins.slice(0, 2)
    const timeline = { ...short.tally.timeline, bins }
    const found = verdicts({ ...short, tally: { ...short.tally, timeline } }, short)
    assert.strictEqual(found.get("end to end, p50"), "too short to say")
  })
})

describe("the steps of an axis", () => {
  it("are round and reach the largest value", () => {
    assert.deepStrictEqual(roundSteps(10), [0, 2, 4, 6, 8, 10])
    for (const most of [0.001, 0.7, 3, 99, 1e6]) {
      assert.isAtLeast(roundSteps(most).at(-1) ?? 0, most)
      assert.isAtMost(roundSteps(most).length, 7)
    }
    assert.deepStrictEqual(roundSteps(0), [0, 1])
  })
})

describe("a verification", () => {
  const planned = (choices: ReadonlyArray<RecordedChoice>, outcome = "finished") => {
    const answer = { outcome, choices, ttftMs: null, e2eMs: null, frames: [] }
    return { request: { ...bareRequest, id: "req-1", answer } }
  }
  const choice = (ids: ReadonlyArray<number>, text: string) => ({ ids, text, finish: "stop" })

  it("names the first token that differs, choice by choice", () => {
    const verification = new Verification()
    const recorded = planned([choice([1, 2, 3], "abc"), choice([4, 5], "de")])
    const piece = (at: number, ids: ReadonlyArray<number>) => ({ choice: at, text: "", ids })
    verification.compare(recorded, [piece(0, [1, 2]), piece(1, [4]), piece(0, [3]), piece(1, [5])])
    verification.compare(recorded, [piece(0, [1, 2, 3]), piece(1, [4, 6])])
    verification.compare(recorded, [piece(0, [1, 2]), piece(1, [4, 5])])
    const { divergences, ...counts } = verification.toData()
    assert.deepStrictEqual(counts, { compared: 3, equal: 1, skipped: 0, failed: 0 })
    const [first, second] = divergences
    assert.deepInclude(first, { choice: 1, position: 1, expected: "5", found: "6" })
    assert.deepInclude(second, { choice: 0, position: 2, expected: "3", found: "the end" })
  })

  it("compares texts where there are no ids, and nothing where nothing was recorded", () => {
    const verification = new Verification()
    const said = [{ choice: 0, text: "Once upon", ids: [] }]
    verification.compare(planned([choice([], "Once again")]), said)
    verification.compare(planned([], "finished"), said)
    verification.compare(planned([choice([1], "a")], "cancelled"), said)
    verification.compare(planned([choice([1], "a")]), null)
    const data = verification.toData()
    assert.deepInclude(data, { compared: 1, equal: 0, skipped: 2, failed: 1 })
    assert.deepInclude(data.divergences[0], { position: 5, unit: "character", found: "upon" })
    assert.strictEqual(addVerified([data, data]).divergences.length, 2)
  })
})
