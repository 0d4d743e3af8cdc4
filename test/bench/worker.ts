// What the worker costs a token, without log and engine: 1,000 requests at once of 100 prompt and
// 200 output tokens, one token a step each, from record to acknowledged end. The scripted engine's
// own time is measured alone and taken off; frames are acknowledged as if by a log, once encoded
// and once not.
import { codecs } from "../../schemas/codec.ts"
import type { RequestAccepted, TokenEntry } from "../../schemas/types.ts"
import { Core } from "../../src/generate/core.ts"
import { silentProgress } from "../../src/generate/progress.ts"
import {
  makeScriptedEngine,
  type ScriptedEngine,
  scriptedDefaults,
} from "../../src/generate/engine/ScriptedEngine.ts"
import { makeTextStream } from "../../src/tokenizer/TextStream.ts"
import { accepted, letters } from "../support/generate.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const atOnce = 1000
const outputTokens = 200
const topic = { topic: "requests", partition: 0 }

const makeEngine = () =>
  makeScriptedEngine({
    ...scriptedDefaults,
    vocabSize: 128,
    firstId: 32,
    eosIds: [0],
    stepIntervalMs: null,
    sequencesMax: atOnce,
    now: () => performance.timeOrigin + performance.now(),
  })

const makeRequest = (index: number): RequestAccepted => {
  const prompt = Array.from({ length: 100 }, (_, i) => (index + i) % 128)
  return accepted({ maxTokens: outputTokens }, { prompts: [prompt] })
}

interface World {
  readonly core: Core
  /** Acknowledges what was appended since, as a log would, and lets the tail pass it. */
  readonly acknowledge: () => void
  readonly bytes: () => number
}

const makeWorld = (scripted: ScriptedEngine, encoded: boolean): World => {
  const ends = [0, 0, 0, 0]
  const pending: Array<() => void> = []
  let bytes = 0
  const append = (
    partition: number,
    entries: ReadonlyArray<TokenEntry>,
    done: (n: number) => void,
  ) => {
    if (encoded) {
      bytes += codecs.tokenFrame.encode({ writer: "worker", writtenAt: 0, entries }).length
    }
    pending.push(() => done(ends[partition]!++))
  }
  const core: Core = new Core({
    workerId: "worker",
    engine: scripted.engine,
    makeText: makeTextStream,
    tokenizer: letters,
    tierOf: new Map([[topic.topic, "default"]]),
    weights: () => ({ priority: 16, default: 4, flex: 1 }),
    tailStarts: ends.map(() => 0),
    backlog: { requestsMax: 2 * atOnce, promptTokensMax: 1e7 },
    claimsMax: 3,
    adoptTokensMax: 2048,
    flushMs: 10,
    retryMs: 100,
    patienceMs: 30_000,
    yieldMs: 2_000,
    now: () => performance.timeOrigin + performance.now(),
    after: () => {},
    append: (partition, entries, done) =>
      append(partition, entries, (offset) => {
        done(null, offset)
        core.tail.onFrame(partition, offset, null)
      }),
    onLost: () => {},
    wantsHistory: () => {},
    bury: () => {},
    progress: silentProgress,
  })
  for (const owned of core.onAssigned(1, [topic])) owned.freshFrom = 0
  scripted.engine.onStep((step) => core.onStep(step))
  const acknowledge = () => {
    for (const run of pending.splice(0)) run()
  }
  return { core, acknowledge, bytes: () => bytes }
}

const record = (request: RequestAccepted, offset: number) => {
  const timestamp = request.acceptedAt
  return { offset, timestamp, bytes: new Uint8Array(0), value: request, damage: null }
}

/** Seconds of CPU for so many requests through the worker, engine included. */
const throughWorker = (count: number, encoded: boolean) => {
  const scripted = makeEngine()
  const { core, acknowledge, bytes } = makeWorld(scripted, encoded)
  const requests = Array.from({ length: count }, (_, index) => makeRequest(index))
  let next = 0
  const start = process.cpuUsage()
  while (next < count || core.table.size > 0) {
    const room = Math.min(atOnce - core.table.size, count - next)
    const records = requests.slice(next, next + room).map((request, i) => record(request, next + i))
    next += records.length
    if (records.length > 0) core.onRecords(topic, records)
    scripted.step()
    core.writer.flushAll()
    acknowledge()
  }
  const { user, system } = process.cpuUsage(start)
  return { seconds: (user + system) / 1e6, bytes: bytes() }
}

const engineAlone = (count: number): number => {
  const scripted = makeEngine()
  const { sampling } = accepted({ maxTokens: outputTokens })
  let sequence = 0
  let live = 0
  scripted.engine.onStep((step) => {
    for (const entry of step.entries) if (entry.finish !== null) live--
  })
  const start = process.cpuUsage()
  while (sequence < count || live > 0) {
    for (; sequence < count && live < atOnce; sequence++, live++) {
      scripted.engine.submit({
        sequence,
        promptIds: Array.from({ length: 100 }, (_, i) => (sequence + i) % 128),
        generatedIds: [],
        sampling: { ...sampling, choice: 0 },
        priority: 1,
        arrivedAt: 0,
        grammar: null,
        cacheSalt: "",
      })
    }
    scripted.step()
  }
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1e6
}

export const run = ({ small }: BenchOptions): Promise<BenchResult> => {
  const count = small ? 1000 : 10_000
  const tokens = count * outputTokens
  engineAlone(atOnce)
  throughWorker(atOnce, true)
  const engine = engineAlone(count)
  const plain = throughWorker(count, false)
  const coded = throughWorker(count, true)
  const micros = (seconds: number) => Number(((seconds * 1e6) / tokens).toFixed(3))
  return Promise.resolve({
    tokens,
    engineMicrosPerToken: micros(engine),
    workerMicrosPerToken: micros(plain.seconds - engine),
    workerAndCodecMicrosPerToken: micros(coded.seconds - engine),
    logBytesPerToken: Number((coded.bytes / tokens).toFixed(2)),
  })
}
