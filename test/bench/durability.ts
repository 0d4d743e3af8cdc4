// What the guarantee costs: the same requests through the same stages (request log, worker, token
// log, relay) in one process, once over the log on disk and once over the log in memory, which
// forgets everything with its process. Turn by turn in one run, so that both meet the same machine.
// HTTP is left out: it costs both the same.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { Config } from "../../src/config/Config.ts"
import { Engine } from "../../src/generate/engine/Engine.ts"
import { makeScriptedEngine, scriptedDefaults } from "../../src/generate/engine/ScriptedEngine.ts"
import { Worker } from "../../src/generate/Worker.ts"
import { layerRelay } from "../../src/relay/layer.ts"
import { Relay } from "../../src/relay/Relay.ts"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import { Log, type LogError } from "../../streams/Log.ts"
import { layerMemory } from "../../streams/memory/MemoryLog.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { modelTopics, sharedTopics } from "../../streams/topics.ts"
import { typedLogs } from "../simulation/logs.ts"
import { layerSurroundings } from "../simulation/worker.ts"
import { accepted } from "../support/generate.ts"
import { quantiles } from "./load.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const outputTokens = 200
const atOnce = 500
const turns = 3

const topicOptions = {
  requestPartitions: 4,
  tokenPartitions: 4,
  retentionMs: 3_600_000,
  retentionBytes: 1 << 30,
}

const now = () => performance.timeOrigin + performance.now()

const makeStages = Effect.fnUntraced(function* (layerLog: Layer.Layer<Log, LogError>) {
  const log = Context.get(yield* Layer.build(layerLog), Log)
  yield* log.createTopics([
    ...sharedTopics(topicOptions),
    ...modelTopics("scripted", "1", topicOptions),
  ])
  const scripted = makeScriptedEngine({
    ...scriptedDefaults,
    vocabSize: 123,
    firstId: 97,
    eosIds: [0],
    stepIntervalMs: 0,
    now,
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => scripted.close()))
  const stages = Layer.mergeAll(Worker.layer, layerRelay).pipe(
    Layer.provide(Layer.succeed(Engine, scripted.engine)),
    Layer.provideMerge(typedLogs(log)),
    Layer.provide(layerSurroundings),
    Layer.provide(Config.layerTest({ servedModelName: "scripted" })),
  )
  return yield* Layer.build(Layer.fresh(stages))
})

type Stages = Effect.Success<ReturnType<typeof makeStages>>

/** Resolves at the request's end, to the time of its first token, ms. */
const ask = (stages: Stages, partition: number) =>
  Effect.callback<number, LogError>((resume) => {
    const request = accepted({ maxTokens: outputTokens, ignoreEos: true })
    const began = performance.now()
    let firstMs: number | null = null
    Context.get(stages, Relay).subscribeNew(request.requestId, {
      onEvents: (events) => {
        firstMs ??= performance.now() - began
        if (events.at(-1)?.kind === "terminal") resume(Effect.succeed(firstMs))
        return true
      },
      onError: (error) => resume(Effect.die(error)),
    })
    const append = Context.get(stages, RequestLog).append(request, { partition, key: "k" })
    Effect.runFork(Effect.catch(append, (error) => Effect.sync(() => resume(Effect.fail(error)))))
  })

interface Measured {
  readonly firstMs: ReadonlyArray<number>
  readonly tokensPerSecond: number
}

const partitions = topicOptions.requestPartitions

const measure = Effect.fnUntraced(function* (layer: Layer.Layer<Log, LogError>, requests: number) {
  const stages = yield* makeStages(layer)
  // Code that has not run yet is slow in both.
  yield* Effect.forEach(Array.from({ length: 40 }), (_, i) => ask(stages, i % partitions))
  const firstMs: Array<number> = []
  for (let i = 0; i < requests; i++) {
    firstMs.push(yield* ask(stages, i % partitions))
    yield* Effect.sleep(5)
  }
  const began = performance.now()
  const all = Array.from({ length: atOnce }, (_, i) => ask(stages, i % partitions))
  yield* Effect.all(all, { concurrency: "unbounded", discard: true })
  const seconds = (performance.now() - began) / 1000
  const measured: Measured = { firstMs, tokensPerSecond: (atOnce * outputTokens) / seconds }
  return measured
})

const inFolder = async (requests: number): Promise<Measured> => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-durability-"))
  try {
    return await once(embeddedLog({ folder, mapBytes: 4 * 1024 ** 3 }), requests)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const once = async (layer: Layer.Layer<Log, LogError>, requests: number): Promise<Measured> => {
  const scope = Scope.makeUnsafe()
  try {
    return await Effect.runPromise(Scope.provide(measure(layer, requests), scope))
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const summary = (name: string, all: ReadonlyArray<Measured>) => {
  const { p50, p99 } = quantiles(all.flatMap(({ firstMs }) => firstMs))
  const rates = all.map(({ tokensPerSecond }) => tokensPerSecond).toSorted((a, b) => a - b)
  return {
    [`${name}.firstP50Ms`]: p50,
    [`${name}.firstP99Ms`]: p99,
    [`${name}.tokensPerSecond`]: Math.round(rates[rates.length >> 1] ?? 0),
  }
}

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => {
  const requests = small ? 20 : 200
  const durable: Array<Measured> = []
  const forgetful: Array<Measured> = []
  for (let turn = 0; turn < (small ? 1 : turns); turn++) {
    durable.push(await inFolder(requests))
    forgetful.push(await once(Layer.fresh(layerMemory), requests))
  }
  return {
    requestsAtOnce: atOnce,
    outputTokens,
    ...summary("durable", durable),
    ...summary("inMemory", forgetful),
  }
}
