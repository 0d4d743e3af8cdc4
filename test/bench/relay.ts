// What the relay costs a token: frames from a log in memory, decoded, folded and given to
// subscribers that only count. Live with everybody subscribed, live with one request in ten
// subscribed, and many clients that all come back for the whole history at once. CPU time of the
// whole process counts.
import { Effect } from "effect"
import type { TokenEntry } from "../../schemas/types.ts"
import { Relay } from "../../src/relay/Relay.ts"
import type { RequestEvent } from "../../streams/fold/requestState.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { acceptedRequest } from "../support/enqueue.ts"
import { relayLayers, topicOptions } from "../support/relay.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

/** Requests that stream at once; each flush carries some tokens of each. */
const requests = 500
const tokensAFlush = 2
const bounds = { subscribersMax: 100_000, readBytes: 128 * 1024 }
const roomy = { ...topicOptions, retentionBytes: 4e9 }

class Counter {
  tokens = 0
  readonly onError = () => {}
  readonly onEvents = (events: ReadonlyArray<RequestEvent>) => {
    this.tokens += events.length
    return true
  }
}

const flush = (ids: ReadonlyArray<string>, position: number): Array<TokenEntry> =>
  ids.map((requestId) => ({
    kind: "TokensGenerated",
    requestId,
    attempt: 1,
    choice: 0,
    position,
    ids: Array.from({ length: tokensAFlush }, (_, i) => 100 + i),
    texts: Array.from({ length: tokensAFlush }, () => " token"),
    logprobs: null,
    finish: null,
    stopReason: null,
  }))

const cpuSeconds = (since: NodeJS.CpuUsage) => {
  const { user, system } = process.cpuUsage(since)
  return (user + system) / 1e6
}

/**
 * Appends one flush at a time, as fast as it is delivered; gives the CPU seconds of delivery only.
 */
const writeFlushes = Effect.fnUntraced(function* (ids: ReadonlyArray<string>, flushes: number) {
  const log = yield* TokenLog
  const parts = Array.from({ length: log.partitions }, (_, partition) =>
    ids.filter((id) => log.partitionOf(id) === partition),
  )
  let encoding = 0
  const start = process.cpuUsage()
  for (let n = 0; n < flushes; n++) {
    for (const [partition, own] of parts.entries()) {
      const before = process.cpuUsage()
      const entries = flush(own, n * tokensAFlush)
      const appended = log.append(partition, "w1", entries)
      encoding += cpuSeconds(before)
      yield* appended
    }
  }
  yield* Effect.sleep(20)
  return cpuSeconds(start) - encoding
})

const claimAll = Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
  const log = yield* TokenLog
  const relay = yield* Relay
  for (const requestId of ids) {
    relay.remember(acceptedRequest({ requestId }))
    const claim: TokenEntry = { kind: "AttemptClaimed", requestId, attempt: 1, worker: "w1" }
    yield* log.append(log.partitionOf(requestId), "w1", [claim])
  }
})

const measure = (flushes: number, every: number) =>
  Effect.gen(function* () {
    const relay = yield* Relay
    const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    const ids = Array.from({ length: requests }, () => newRequestId(now))
    const counter = new Counter()
    const followed = ids.filter((_, index) => index % every === 0)
    for (const id of followed) relay.subscribeNew(id, counter)
    yield* claimAll(ids)
    const seconds = yield* writeFlushes(ids, flushes)
    const perRequest = flushes * tokensAFlush
    if (counter.tokens !== followed.length * perRequest) throw new Error("tokens were lost")
    const late = new Counter()
    const start = process.cpuUsage()
    yield* Effect.all(
      followed.map((id) => relay.subscribe(id, 0, late)),
      { concurrency: "unbounded" },
    )
    if (late.tokens !== counter.tokens) throw new Error("history was lost")
    const logged = ids.length * perRequest
    return { live: logged / seconds, history: logged / cpuSeconds(start) }
  }).pipe(Effect.provide(relayLayers(roomy, bounds)), Effect.scoped)

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => {
  const flushes = small ? 100 : 1_000
  await Effect.runPromise(measure(50, 1))
  const all = await Effect.runPromise(measure(flushes, 1))
  const tenth = await Effect.runPromise(measure(flushes, 10))
  return {
    requests,
    tokensAFlush,
    flushes,
    liveTokensPerCpuSecond: Math.round(all.live),
    liveTenthFollowedTokensPerCpuSecond: Math.round(tenth.live),
    historyTokensPerCpuSecond: Math.round(all.history),
  }
}
