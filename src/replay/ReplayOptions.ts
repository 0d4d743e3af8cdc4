// The flags of `sluice replay` as what they mean, or the sentence that says what one must be. Pure:
// nothing is opened, nobody is asked.
import { Option } from "effect"
import { duration, integer } from "../config/setting.ts"
import { noObjectives, type Objectives, parseObjectives } from "./measure/objectives.ts"
import { type Arrivals, parseRate } from "./plan/arrivals.ts"
import type { PlanSource } from "./plan/Plan.ts"
import { type Format, formats } from "./trace/Trace.ts"

export interface ReplayOptions {
  readonly source: PlanSource
  readonly target: string
  readonly model: string | null
  readonly arrivals: Arrivals
  readonly concurrency: number | null
  readonly durationMs: number | null
  readonly requestsMax: number | null
  readonly warmUpMs: number
  readonly objectives: Objectives
  /** Of a search for a rate: the share of requests that must keep them. */
  readonly attain: number
  readonly endpoint: "completions" | "chat"
  readonly scale: number
  readonly contextTokensMax: number | null
  readonly outputTokensMax: number | null
  readonly ids: readonly [number, number] | null
  readonly seed: number
  readonly processes: number | null
  readonly timeoutMs: number
  readonly stallMs: number
  readonly lateMs: number
  readonly headers: Readonly<Record<string, string>>
  readonly scrape: string | null
  readonly json: string | null
  readonly html: string | null
  readonly name: string | null
  readonly repeat: boolean
  readonly stream: boolean
  readonly plain: boolean
  readonly verify: boolean
}

export interface GivenFlags {
  readonly action: string | null
  readonly operands: ReadonlyArray<string>
  readonly options: ReadonlyMap<string, string>
  readonly switches: ReadonlySet<string>
}

const day = 86_400_000
const million = 1_000_000
const concurrencyUsual = 256

/** Reads flags one after the other and keeps the first thing that is wrong. */
class Flags {
  problem: string | null = null
  private readonly given: GivenFlags

  constructor(given: GivenFlags) {
    this.given = given
  }

  text(name: string): string | null {
    return this.given.options.get(name) ?? null
  }

  has(name: string): boolean {
    return this.given.switches.has(name)
  }

  read<A>(name: string, expects: string, parse: (text: string) => A | null): A | null {
    const text = this.text(name)
    if (text === null) return null
    const value = parse(text)
    if (value === null) this.wrong(`--${name} must be ${expects}; found ${JSON.stringify(text)}`)
    return value
  }

  time(name: string): number | null {
    const setting = duration(name, [0, 7 * day], 0, "")
    return this.read(name, setting.expects, (text) => Option.getOrNull(setting.decode(text)))
  }

  whole(name: string, range: readonly [number, number]): number | null {
    const setting = integer(name, range, range[0], "")
    return this.read(name, setting.expects, (text) => Option.getOrNull(setting.decode(text)))
  }

  choice<const C extends ReadonlyArray<string>>(name: string, among: C): C[number] | null {
    const expects = `one of ${among.join(", ")}`
    return this.read(name, expects, (text) => among.find((one) => one === text) ?? null)
  }

  wrong(sentence: string): void {
    this.problem ??= sentence
  }
}

const positive = (text: string): number | null => (Number(text) > 0 ? Number(text) : null)

const shareBelowOne = (text: string): number | null =>
  Number(text) > 0 && Number(text) < 1 ? Number(text) : null

const arrivalsOf = (flags: Flags): Arrivals => {
  const rate = flags.read("rate", "a rate such as 50, poisson:50 or uniform:50", parseRate)
  const speed = flags.read("speed", "a factor such as 0.5 or 10, or max", (text) =>
    text === "max" ? ("max" as const) : positive(text),
  )
  if (rate !== null && speed !== null) flags.wrong("--rate and --speed cannot be together")
  if (rate !== null) return rate
  return speed === "max" ? { kind: "closed" } : { kind: "trace", speed: speed ?? 1 }
}

const lengths = /^(\d{1,7}):(\d{1,7})$/

const sourceOf = (flags: Flags, operand: string | undefined): PlanSource => {
  const format: Format | null = flags.choice("format", formats)
  const synthetic = flags.read("lengths", "two lengths such as 512:128", (text) => {
    const [, promptTokens, outputTokens] = lengths.exec(text) ?? []
    if (promptTokens === undefined || outputTokens === undefined) return null
    return { promptTokens: Number(promptTokens), outputTokens: Number(outputTokens) }
  })
  if (operand !== undefined && synthetic !== null)
    flags.wrong("a trace has lengths: drop --lengths")
  if (operand !== undefined) return { kind: "file", file: operand, format }
  if (synthetic === null) {
    flags.wrong("name a trace file, or give lengths such as --lengths 512:128")
  }
  return { kind: "lengths", ...(synthetic ?? { promptTokens: 1, outputTokens: 1 }) }
}

const idRange = (text: string): readonly [number, number] | null => {
  const [, from, to] = lengths.exec(text) ?? []
  return Number(from) < Number(to) ? [Number(from), Number(to)] : null
}

const headersOf = (flags: Flags): Readonly<Record<string, string>> =>
  flags.read("header", "a header such as 'x-team: search'", (text) => {
    const colon = text.indexOf(":")
    if (colon <= 0 || /[\r\n]/.test(text)) return null
    return { [text.slice(0, colon).trim().toLowerCase()]: text.slice(colon + 1).trim() }
  }) ?? {}

const targetOf = (flags: Flags): string => {
  const expects = "http://... or https://..., log, or kafka"
  const target = flags.read("target", expects, (text) =>
    ["log", "kafka"].includes(text) || (/^https?:/.test(text) && URL.canParse(text)) ? text : null,
  )
  if (target === null) flags.wrong(`name what to send to: --target ${expects}`)
  return target ?? ""
}

/** A sentence where something is wrong. */
export const replayOptions = (given: GivenFlags): ReplayOptions | string => {
  const flags = new Flags(given)
  const source = sourceOf(flags, given.operands[0])
  const arrivals = arrivalsOf(flags)
  const concurrency = flags.whole("concurrency", [1, 65_536])
  const requestsMax = flags.whole("requests", [1, 1000 * million])
  const durationMs = flags.time("duration")
  const searches = given.action === "find-rate"
  const endless = (source.kind === "lengths" || flags.has("repeat")) && !searches
  if (endless && durationMs === null && requestsMax === null) {
    flags.wrong("without a trace's end, say when to stop: --duration or --requests")
  }
  if (source.kind === "lengths" && arrivals.kind === "trace" && !searches) {
    flags.wrong("lengths have no times: give --rate, or --speed max")
  }
  const options: ReplayOptions = {
    source,
    target: targetOf(flags),
    model: flags.text("target-model"),
    arrivals,
    concurrency: arrivals.kind === "closed" ? (concurrency ?? concurrencyUsual) : concurrency,
    durationMs,
    requestsMax,
    warmUpMs: flags.time("warmup") ?? 0,
    objectives:
      flags.read("slo", "objectives such as ttft=100ms,itl=50ms,e2e=5s", parseObjectives) ??
      noObjectives,
    attain: flags.read("attain", "a share below 1, such as 0.99", shareBelowOne) ?? 0.99,
    endpoint: flags.choice("endpoint", ["completions", "chat"]) ?? "completions",
    scale: flags.read("scale", "a factor above 0", positive) ?? 1,
    contextTokensMax: flags.whole("context", [2, 100 * million]),
    outputTokensMax: flags.whole("output-max", [1, 100 * million]),
    ids: flags.read("prompt-ids", "a range of token ids such as 300:30000", idRange),
    seed: flags.whole("seed", [0, 2 ** 31]) ?? 1,
    processes: flags.whole("processes", [1, 256]),
    timeoutMs: flags.time("timeout") ?? 300_000,
    stallMs: flags.time("stall") ?? 60_000,
    lateMs: flags.time("late") ?? 5,
    headers: headersOf(flags),
    scrape: flags.read("scrape", "a URL", (text) => (URL.canParse(text) ? text : null)),
    json: flags.text("json"),
    html: flags.text("html"),
    name: flags.text("name"),
    repeat: flags.has("repeat"),
    stream: !flags.has("no-stream"),
    plain: flags.has("plain"),
    verify: flags.has("verify"),
  }
  return flags.problem ?? options
}

/** How the load is made, for whoever reads the report. */
export const loadText = ({ arrivals, concurrency, source, scale }: ReplayOptions): string => {
  const what =
    source.kind === "file"
      ? (source.file.split(/[\\/]/).at(-1) ?? source.file)
      : `${source.promptTokens} tokens in, ${source.outputTokens} out`
  const when =
    arrivals.kind === "closed"
      ? "as fast as it goes"
      : arrivals.kind === "trace"
        ? `${arrivals.speed} times its own speed`
        : `${arrivals.kind}, ${arrivals.perSecond} requests/s`
  const bound = concurrency === null ? "" : `, at most ${concurrency} at once`
  return `${what}, ${when}${bound}${scale === 1 ? "" : `, lengths times ${scale}`}`
}
