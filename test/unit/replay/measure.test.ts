// What load is measured with: buckets against sorted samples, bins that double, objectives, and the
// plan of what is sent when.
import { assert, describe, it } from "@effect/vitest"
import { Histogram } from "../../../src/replay/measure/Histogram.ts"
import { meets, noObjectives, parseObjectives } from "../../../src/replay/measure/objectives.ts"
import { Tally } from "../../../src/replay/measure/Tally.ts"
import { Timeline } from "../../../src/replay/measure/Timeline.ts"
import { dueTimes, parseRate } from "../../../src/replay/plan/arrivals.ts"
import { fitLengths } from "../../../src/replay/plan/lengths.ts"
import { seeded } from "../../../src/replay/plan/random.ts"
import { promptIds, promptWords } from "../../../src/replay/plan/synthesise.ts"
import { replayOptions } from "../../../src/replay/ReplayOptions.ts"
import { readSamples } from "../../../src/replay/scrape/prometheus.ts"
import { Series } from "../../../src/replay/scrape/Series.ts"

const shares = [0, 0.01, 0.5, 0.9, 0.99, 0.999, 1]

describe("a histogram", () => {
  it("has every quantile within half a percent of the samples' own, over seven orders", () => {
    const random = seeded(7)
    const samples = Array.from({ length: 20_000 }, () => 10 ** (random() * 7 - 2))
    const histogram = new Histogram()
    samples.forEach((ms) => histogram.record(ms))
    const sorted = samples.toSorted((a, b) => a - b)
    for (const share of shares) {
      const exact = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
      const found = histogram.quantile(share)
      assert.closeTo(found, exact, exact * 0.005 + 0.001, `p${share * 100}`)
    }
    const mean = samples.reduce((sum, ms) => sum + ms, 0) / samples.length
    assert.closeTo(histogram.mean, mean, mean * 1e-9)
    assert.strictEqual(histogram.max, sorted.at(-1))
  })

  it("survives JSON, and two add up to the one of both", () => {
    const random = seeded(1)
    const [one, two, both] = [new Histogram(), new Histogram(), new Histogram()]
    for (let i = 0; i < 5000; i++) {
      const ms = random() * 1000
      both.record(ms)
      if (i % 3 === 0) one.record(ms)
      else two.record(ms)
    }
    const data: ReturnType<Histogram["toData"]> = JSON.parse(JSON.stringify(two.toData()))
    const sum = one.add(Histogram.fromData(data))
    for (const share of shares) assert.strictEqual(sum.quantile(share), both.quantile(share))
    assert.strictEqual(sum.count, 5000)
    assert.closeTo(sum.deviation, both.deviation, 1e-6)
  })

  it("is 0 where there is nothing, and takes what is out of range", () => {
    const histogram = new Histogram()
    assert.deepStrictEqual([histogram.quantile(0.5), histogram.mean, histogram.min], [0, 0, 0])
    histogram.record(-1)
    histogram.record(1e12)
    assert.strictEqual(histogram.quantile(0.5), -0)
    assert.strictEqual(histogram.count, 2)
  })
})

describe("a time line", () => {
  it("keeps its sum however long it grows, in at most 100 bins", () => {
    const timeline = new Timeline()
    for (let second = 0; second < 5000; second++) {
      const bin = timeline.at(second * 1000)
      bin.count.due++
      bin.latency.ttft.record(second)
      bin.inFlightMax = Math.max(bin.inFlightMax, second)
    }
    assert.isAtMost(timeline.bins.length, 100)
    assert.isAtLeast(timeline.bins.length, 50)
    const total = timeline.total()
    assert.strictEqual(total.count.due, 5000)
    assert.strictEqual(total.latency.ttft.count, 5000)
    assert.strictEqual(total.inFlightMax, 4999)
  })

  it("of two processes add up by time, whatever their widths are", () => {
    const [short, long] = [new Timeline(), new Timeline()]
    short.at(50).count.due = 1
    short.at(950).count.due = 2
    long.at(50).count.due = 4
    long.at(60_000).count.due = 8
    const sum = Timeline.fromData(short.toData()).add(Timeline.fromData(long.toData()))
    assert.strictEqual(sum.widthMs, 800)
    assert.strictEqual(sum.at(50).count.due, 1 + 4)
    assert.strictEqual(sum.at(950).count.due, 2)
    assert.strictEqual(sum.at(60_000).count.due, 8)
    assert.strictEqual(sum.total().count.due, 15)
  })
})

describe("objectives", () => {
  it("are read with their units, or not at all", () => {
    const read = parseObjectives("ttft=100ms, itl=50, e2e=5s")
    assert.deepStrictEqual(read, { ttftMs: 100, itlMs: 50, gapMs: null, e2eMs: 5000 })
    for (const text of ["", "ttft", "ttft=fast", "x=1ms", "ttft=-1ms", "ttft=1ms;itl=2ms"]) {
      assert.isNull(parseObjectives(text), text)
    }
  })

  it("hold up to their bound; what is not known does not fail", () => {
    const bounds = { ...noObjectives, ttftMs: 100, itlMs: 10 }
    const measured = { ttftMs: 100, itlMs: 10, gapMs: 900, e2eMs: 900 }
    assert.isTrue(meets(bounds, measured))
    assert.isFalse(meets(bounds, { ...measured, ttftMs: 100.1 }))
    assert.isFalse(meets(bounds, { ...measured, itlMs: 10.1 }))
    assert.isTrue(meets(bounds, { ...measured, itlMs: null }))
  })
})

describe("a tally", () => {
  const ended = {
    dueMs: 0,
    endMs: 100,
    failure: null,
    detail: "",
    retryAfter: false,
    ttftMs: 20,
    e2eMs: 100,
    gapMs: 30,
    promptTokens: 5,
    outputTokens: 9,
  }

  it("counts late sends, failures by kind and goodput, and adds up", () => {
    const make = () => new Tally({ ...noObjectives, itlMs: 10 }, 5)
    const tally = make()
    tally.sent(0, 4.9, 1)
    tally.sent(0, 5.1, 2)
    tally.ended(ended)
    tally.ended({ ...ended, e2eMs: 101 })
    tally.ended({ ...ended, failure: "reset", detail: "ECONNRESET" })
    tally.ended({ ...ended, failure: "tooManyRequests", detail: "429", retryAfter: true })
    const sum = make().add(tally.toData()).add(tally.toData())
    const { count } = sum.timeline.total()
    assert.deepInclude(count, { due: 4, late: 2, answered: 4, failed: 4, good: 2 })
    assert.deepStrictEqual(sum.failures.get("reset"), { count: 2, example: "ECONNRESET" })
    assert.strictEqual(sum.withRetryAfter, 2)
  })
})

describe("arrivals", () => {
  it("follow the trace's times at any speed", () => {
    const due = dueTimes({ kind: "trace", speed: 10 }, 1)
    assert.deepStrictEqual([due(0), due(5), due(1000)], [0, 0.5, 100])
  })

  it("of a rate have its mean and, when poisson, its scatter; the same for a seed", () => {
    const poisson = parseRate("poisson:50")
    assert.deepStrictEqual(poisson, { kind: "poisson", perSecond: 50 })
    const draw = (seed: number) => {
      const due = dueTimes({ kind: "poisson", perSecond: 50 }, seed)
      return Array.from({ length: 20_001 }, () => due(null) ?? 0)
    }
    const times = draw(3)
    assert.deepStrictEqual(times, draw(3))
    const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0))
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
    const spread = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length)
    assert.closeTo(mean, 20, 0.6)
    assert.closeTo(spread / mean, 1, 0.05)
    assert.deepStrictEqual(parseRate("uniform:2"), { kind: "uniform", perSecond: 2 })
    for (const text of ["", "0", "-1", "fast:3", "poisson:"]) assert.isNull(parseRate(text), text)
  })
})

describe("lengths", () => {
  it("are scaled, then cut to the context, and say so", () => {
    const fit = { scale: 1, contextTokensMax: 1000, outputTokensMax: null }
    const whole = { promptTokens: 500, outputTokens: 500, clipped: false }
    assert.deepStrictEqual(fitLengths(500, 500, fit), whole)
    const cut = { promptTokens: 900, outputTokens: 100, clipped: true }
    assert.deepStrictEqual(fitLengths(5000, 100, fit), cut)
    const half = { promptTokens: 500, outputTokens: 500, clipped: true }
    assert.deepStrictEqual(fitLengths(5000, 5000, fit), half)
    const scaled = { promptTokens: 50, outputTokens: 1, clipped: false }
    assert.deepStrictEqual(fitLengths(500, 10, { ...fit, scale: 0.1 }), scaled)
    assert.isTrue(fitLengths(1, 100, { ...fit, outputTokensMax: 99 }).clipped)
  })

  it("never exceed the context, whatever is asked", () => {
    const random = seeded(5)
    for (let i = 0; i < 2000; i++) {
      const contextTokensMax = 2 + Math.floor(random() * 100)
      const [prompt, output] = [Math.floor(random() * 300), Math.floor(random() * 300)]
      const fit = fitLengths(prompt, output, { scale: 1, contextTokensMax, outputTokensMax: null })
      assert.isAtMost(fit.promptTokens + fit.outputTokens, contextTokensMax)
      assert.isAtLeast(Math.min(fit.promptTokens, fit.outputTokens), 1)
    }
  })
})

describe("synthesised prompts", () => {
  const material = { ids: null, tokensPerWord: 1, seed: 1 }
  const wanted = (hashes: ReadonlyArray<string>, promptTokens: number, index: number) => ({
    promptTokens,
    blocks: { tokens: 8, hashes },
    scale: 1,
    index,
  })

  it("share exactly the blocks whose hashes are equal", () => {
    const words = (hashes: ReadonlyArray<string>, tokens: number, index: number) =>
      promptWords(material, wanted(hashes, tokens, index)).split(" ")
    const one = words(["a", "b"], 16, 0)
    const two = words(["a", "c"], 16, 1)
    const rest = words(["a"], 16, 2)
    assert.lengthOf(one, 16)
    assert.deepStrictEqual(one.slice(0, 8), two.slice(0, 8))
    assert.notDeepEqual(one.slice(8), two.slice(8))
    assert.deepStrictEqual(rest.slice(0, 8), one.slice(0, 8))
    assert.notDeepEqual(rest.slice(8), words(["a"], 16, 3).slice(8))
    assert.deepStrictEqual(words(["a", "b"], 11, 9), one.slice(0, 11))
  })

  it("as ids have the exact length and range, and differ by seed", () => {
    const ids = promptIds(material, [300, 310], wanted(["a", "b"], 13, 0))
    assert.lengthOf(ids, 13)
    assert.isTrue(ids.every((id) => id >= 300 && id < 310))
    const other = promptIds({ ...material, seed: 2 }, [300, 310], wanted(["a", "b"], 13, 0))
    assert.notDeepEqual(ids, other)
  })
})

describe("a metrics page", () => {
  it("gives the values that are shown, labels added up", () => {
    const page =
      '# HELP x\nvllm:num_requests_running{model="a",x="}"} 2\nvllm:num_requests_running{m="b"} 3' +
      "\nother 9\nllm_queue_depth NaN\nllm_queue_depth 4 1700000000\n"
    assert.deepStrictEqual(
      [...readSamples(page)],
      [
        ["vllm:num_requests_running", 5],
        ["llm_queue_depth", 4],
      ],
    )
  })

  it("is kept in a bounded number of points over any time", () => {
    const series = new Series()
    for (let i = 0; i < 10_000; i++) series.add(i, new Map([["a", i]]))
    const [{ points } = { points: [] }] = series.toData()
    assert.isAtMost(points.length, 241)
    assert.isAtLeast(points.length, 100)
    assert.isAtLeast(points.at(-1)?.[0] ?? 0, 9800)
  })
})

describe("the flags of replay", () => {
  const parse = (line: string, ...switches: ReadonlyArray<string>) => {
    const words = line.split(" ").filter((word) => word !== "")
    const options = new Map<string, string>()
    const operands: Array<string> = []
    for (let i = 0; i < words.length; i++) {
      const word = words[i] ?? ""
      if (word.startsWith("--")) options.set(word.slice(2), words[++i] ?? "")
      else operands.push(word)
    }
    return replayOptions({ action: null, operands, options, switches: new Set(switches) })
  }
  const target = "--target http://host:1"

  it("say what is wrong in one sentence", () => {
    const wrong: ReadonlyArray<readonly [line: string, sentence: RegExp]> = [
      ["trace", /^name what to send to/],
      [`${target}`, /^name a trace file/],
      [`trace ${target} --rate fast`, /^--rate must be a rate/],
      [`trace ${target} --rate 5 --speed 2`, /cannot be together/],
      [`trace ${target} --speed 0`, /^--speed must be/],
      [`trace ${target} --slo ttft`, /^--slo must be/],
      ["trace --target ftp://host", /^--target must be/],
      [`trace ${target} --lengths 5:5`, /drop --lengths/],
      [`--lengths 5:5 ${target} --rate 5`, /say when to stop/],
      [`--lengths 5:5 ${target} --duration 5s`, /lengths have no times/],
      [`trace ${target} --format csv`, /^--format must be one of sluice/],
      [`trace ${target} --header nonsense`, /^--header must be/],
      [`trace ${target} --prompt-ids 9:5`, /^--prompt-ids must be/],
    ]
    for (const [line, sentence] of wrong) assert.match(String(parse(line)), sentence, line)
  })

  it("mean what they say", () => {
    const options = parse(`trace ${target} --speed max --duration 60s --slo e2e=5s`, "verify")
    assert.isObject(options)
    assert.deepInclude(options, {
      arrivals: { kind: "closed" },
      concurrency: 256,
      durationMs: 60_000,
      verify: true,
      stream: true,
    })
    const open = parse(`trace ${target} --speed 0.5`)
    assert.deepInclude(open, { arrivals: { kind: "trace", speed: 0.5 }, concurrency: null })
  })
})
