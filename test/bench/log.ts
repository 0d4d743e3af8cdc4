// The embedded log alone: how long one durable append takes, how many records a second go through
// it in commits of 512, with a reader that follows in the same process, and how soon another
// process's reader is woken. On a real disk: the data lies under .cache.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import { Log, type TopicSpec } from "../../streams/Log.ts"
import { child } from "../support/childLines.ts"
import { projectRoot } from "../support/shared.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const recordBytes = 100
const batchRecords = 512

const topics: ReadonlyArray<TopicSpec> = ["single", "batch", "wake"].map((name) => ({
  name,
  partitions: 1,
  cleanup: "delete",
  retentionMs: Number.MAX_SAFE_INTEGER,
  retentionBytes: Number.MAX_SAFE_INTEGER,
}))

const at = (topic: string) => ({ topic, partition: 0 })

const percentile = (sorted: ReadonlyArray<number>, part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0

const rounded = (value: number): number => Math.round(value * 1000) / 1000

const value = new Uint8Array(recordBytes).fill(7)

/** One append after another, each awaited. */
const singles = Effect.fnUntraced(function* (count: number) {
  const log = yield* Log
  const times: Array<number> = []
  for (let i = 0; i < count; i++) {
    const started = performance.now()
    yield* log.append(at("single"), [{ key: null, value }])
    times.push(performance.now() - started)
  }
  times.sort((a, b) => a - b)
  return {
    appendMsP50: rounded(percentile(times, 0.5)),
    appendMsP99: rounded(percentile(times, 0.99)),
  }
})

/** Commits of 512 records one after another, a tail following. */
const batches = Effect.fnUntraced(function* (count: number) {
  const log = yield* Log
  const tail = { seen: 0 }
  yield* log.tail({
    topic: "batch",
    from: "end",
    onRecords: (_, records) => {
      tail.seen += records.length
    },
    onError: (error) => {
      throw error
    },
  })
  const records = Array.from({ length: batchRecords }, () => ({ key: null, value }))
  const started = performance.now()
  for (let i = 0; i < count; i++) yield* log.append(at("batch"), records)
  while (tail.seen < count * batchRecords) yield* Effect.sleep(1)
  const seconds = (performance.now() - started) / 1000
  return { recordsPerSecond: Math.round((count * batchRecords) / seconds), batches: count }
})

/**
 * Another process follows the topic and tells when it saw each record, by the clock that processes
 * of one machine share; from that, how long after the acknowledgement here.
 */
const wakes = Effect.fnUntraced(function* (folder: string, count: number) {
  const log = yield* Log
  const follower = yield* child("./logChild.ts", ["follow", folder, "wake", String(count)])
  yield* follower.line("ready")
  const acknowledged: Array<number> = []
  for (let i = 0; i < count; i++) {
    yield* log.append(at("wake"), [{ key: null, value }])
    acknowledged.push(performance.timeOrigin + performance.now())
    yield* Effect.sleep(3)
  }
  const seen: ReadonlyArray<number> = JSON.parse(yield* follower.line("["))
  const delays = seen.map((time, i) => time - (acknowledged[i] ?? 0)).toSorted((a, b) => a - b)
  return {
    otherProcessSeesMsP50: rounded(percentile(delays, 0.5)),
    otherProcessSeesMsP99: rounded(percentile(delays, 0.99)),
  }
})

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => {
  const cache = join(projectRoot, ".cache")
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, "log-"))
  const measure = Effect.gen(function* () {
    const log = yield* Log
    yield* log.createTopics(topics)
    const single = yield* singles(small ? 100 : 3000)
    const batched = yield* batches(small ? 50 : 4000)
    const woken = yield* wakes(folder, small ? 50 : 1000)
    return { ...single, ...batched, ...woken, recordBytes, batchRecords }
  })
  try {
    const layer = embeddedLog({ folder, mapBytes: 4 * 1024 ** 3 })
    return await Effect.runPromise(Effect.scoped(measure).pipe(Effect.provide(layer)))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
