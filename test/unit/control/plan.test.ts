// Capacity and cost: the seed's own arithmetic from its own inputs, and where it does not add up.
import { assert, describe, it } from "@effect/vitest"
import { planCommand } from "../../../src/cli/plan.ts"
import { costOfHours, plan, tokensAMonth } from "../../../src/control/plan/plan.ts"
import { engineRates, gpus } from "../../../src/control/plan/rates.ts"

const load = (requestsPerSecond: number, utilisation = 1) => ({
  ...{ requestsPerSecond, promptTokens: 100, outputTokens: 200, utilisation },
})

const seedRate = (model: string) => engineRates.find((one) => one.model === model)!
const a100 = gpus["a100"]!

describe("the seed's arithmetic", () => {
  it("of a set: 40 tokens/s by 32 sequences are 6.4 requests/s", () => {
    const made = plan(load(500), seedRate("70b-int4"), a100)
    assert.closeTo(made.requestsPerSecondOfReplica, 6.4, 1e-9)
    // It says 78 sets, 312 GPUs: 78 sets serve 499.2 requests/s, so it takes one more.
    assert.deepInclude(made, { replicas: 79, gpus: 316 })
  })

  it("of its mix does not hold: 26 GPUs are said, 160 are needed", () => {
    const premium = plan(load(200), seedRate("70b-int4"), a100)
    const standard = plan(load(800), seedRate("13b-fp16"), a100)
    assert.deepStrictEqual([premium.gpus, standard.gpus], [128, 32])
    assert.closeTo(4 * premium.requestsPerSecondOfReplica, 25.6, 1e-9)
    assert.closeTo(10 * standard.requestsPerSecondOfReplica, 256, 1e-9)
  })

  it("of latency does not hold: 200 tokens at 40 tokens/s take 5 s, not 70 ms", () => {
    assert.closeTo(plan(load(1), seedRate("70b-int4"), a100).answerSeconds, 5, 1e-9)
  })

  it("of tokens: 1,000 requests/s of 300 tokens are 777 billion a month", () => {
    assert.strictEqual(tokensAMonth(load(1000)), 777_600_000_000)
    assert.strictEqual(Math.floor(tokensAMonth(load(1000)) / 1e9), 777)
  })

  it("of money: its instances, its mix, and the price of a million tokens", () => {
    assert.closeTo(costOfHours(4, 32.77), 95_688.4, 0.01)
    assert.closeTo(costOfHours(4, 21.18), 61_845.6, 0.01)
    assert.closeTo(costOfHours(4, 9.83), 28_703.6, 0.01)
    const gpu = costOfHours(2, 21.18) + 0.5 * costOfHours(2, 9.83)
    assert.closeTo(gpu, 38_098.7, 0.01)
    const month = gpu + 500 + 1_000 + 2_000 + 500
    assert.closeTo(month, 42_098.7, 0.01)
    const perMillion = month / (tokensAMonth(load(1000)) / 1e6)
    assert.closeTo(perMillion, 0.054, 0.0005)
    assert.closeTo(1 - perMillion / 0.5, 0.89, 0.005)
    // With the GPUs that its own rates need, 160 at $4.10 an hour, the margin is gone.
    const needed = costOfHours(160, 4.1) / (tokensAMonth(load(1000)) / 1e6)
    assert.closeTo(needed, 0.616, 0.001)
  })
})

describe("a plan", () => {
  const rate = seedRate("8b-bf16")

  it("keeps a reserve, and more of it makes the wait shorter", () => {
    const full = plan(load(1000, 1), rate, gpus["h200"]!)
    const part = plan(load(1000, 0.7), rate, gpus["h200"]!)
    assert.deepStrictEqual([full.gpus, part.gpus], [10, 14])
    assert.isBelow(part.answerSecondsP99, full.answerSecondsP99)
    assert.isAtLeast(part.answerSecondsP99, part.answerSeconds)
    assert.isNull(part.costAMonth)
  })

  it("says what does not fit", () => {
    const long = { ...load(1), promptTokens: 100_000 }
    assert.isFalse(plan(long, rate, gpus["h200"]!).fits)
    assert.isTrue(plan(load(1), rate, gpus["h200"]!).fits)
  })

  const command = (options: Readonly<Record<string, string>>) => {
    const said: Array<string> = []
    const say = (line: string) => void said.push(line)
    const given = new Map(Object.entries(options))
    return { code: planCommand(given, { out: say, err: say }), text: said.join("\n") }
  }

  it("is printed with its source, and with a price where one is given", () => {
    const { code, text } = command({ model: "8b-bf16", qps: "1000", price: "5" })
    assert.strictEqual(code, 0)
    assert.match(text, /^GPUs +14: 14 replicas, 102\.8 requests\/s each/m)
    assert.match(text, /^tokens +777\.6 billion a month/m)
    assert.match(text, /^cost +\$51100 a month, \$0\.066 per million tokens/m)
    assert.include(command({}).text, "no price of h200 is known")
  })

  it("is refused for what nobody measured, and for what is no number", () => {
    const unknown = command({ model: "8b-bf16", gpu: "h100" })
    assert.strictEqual(unknown.code, 2)
    assert.include(unknown.text, "nobody measured 8b-bf16 on h100; there are 8b-bf16 on h200")
    assert.include(command({ qps: "many" }).text, "--qps is a number from 0.001 to 10000000")
    assert.strictEqual(command({ in: "100000" }).code, 1)
  })
})
