// The Relay over the token and request logs: one tail a process, one reader of history a partition.
// A token costs no fiber: the tail's callback folds and delivers in plain code.
import { Clock, Deferred, Effect, Layer, Schedule } from "effect"
import type { RequestAccepted, TokenFrame } from "../../schemas/types.ts"
import type { LogError } from "../../streams/Log.ts"
import type { ReadRecord } from "../../streams/readRecord.ts"
import { isRequestId } from "../../streams/requestId.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { Metrics } from "../telemetry/Metrics.ts"
import { type Follower, goneError } from "./Follower.ts"
import { Followers } from "./followers.ts"
import { historyStart } from "./history.ts"
import { Partition } from "./partition.ts"
import {
  Relay,
  RelayError,
  type RelayWatcher,
  type Subscriber,
  type Subscription,
} from "./Relay.ts"
import { makeRequestMemory } from "./requestMemory.ts"
import { TextKeeper, viewOf } from "./requestView.ts"

export interface RelayBounds {
  /** Of one process, paused ones too. */
  readonly subscribersMax: number
  /**
   * Of history, in one read: what a pass holds in memory, and for how long it holds the event loop.
   */
  readonly readBytes: number
}

const showEveryMs = 5_000

/** Past its deadline by so much, every request has its end in the log. */
const endedGraceMs = 15_000

const relayBounds: RelayBounds = { subscribersMax: 131_072, readBytes: 128 * 1024 }

const tooMany = (subscribersMax: number, retryAfterMs: number) =>
  new RelayError({
    reason: "tooManySubscribers",
    message: "This server streams to as many subscribers as it may. Try again later.",
    retryAfterMs,
    numbers: { subscribers_max: subscribersMax },
  })

const unknown = (requestId: string) =>
  new RelayError({
    reason: "unknownRequest",
    message: `There is no request "${requestId.slice(0, 64)}".`,
  })

const closed: Subscription = { resume: () => {}, close: () => {} }

type Frames = ReadonlyArray<ReadRecord<TokenFrame>>

const logDamage = (partition: number, frames: ReadonlyArray<ReadRecord<TokenFrame>>) =>
  Effect.forEach(
    frames.filter(({ damage }) => damage !== null),
    ({ offset, damage }) =>
      Effect.logError("a record of the token log is damaged").pipe(
        Effect.annotateLogs({ partition, offset, damage: damage?.message }),
      ),
    { discard: true },
  )

/** Entries after which nothing of a request counts, whoever wrote them. */
const tellEnded = (frames: Frames, listener: (requestId: string) => void) => {
  for (const { value } of frames) {
    if (value === null) continue
    for (const { kind, requestId } of value.entries) {
      if (kind === "TokensGenerated" || kind === "AttemptClaimed" || kind === "PromptScored")
        continue
      listener(requestId)
    }
  }
}

const openPartitions = Effect.fnUntraced(function* (
  tokenLog: TokenLog["Service"],
  readBytes: number,
) {
  const open = Effect.fnUntraced(function* (index: number) {
    const { next } = yield* tokenLog.bounds(index)
    return new Partition(next, (offset) => tokenLog.readFrom(index, offset, readBytes))
  })
  return yield* Effect.forEach(
    Array.from({ length: tokenLog.partitions }, (_, i) => i),
    open,
  )
})

/** The request record, from memory or the log; unknown and gone are told apart by the log. */
const makeFind = (requestLog: RequestLog["Service"]) => {
  const memory = makeRequestMemory()
  const find = Effect.fn("Relay.find")(function* (requestId: string) {
    if (!isRequestId(requestId)) return yield* unknown(requestId)
    const known = memory.get(requestId)
    if (known !== null) return known
    const found = yield* requestLog.find(requestId)
    if (found === "unknown") return yield* unknown(requestId)
    if (found === "gone") return yield* goneError(requestId)
    memory.put(found)
    return found
  })
  return { find, remember: memory.put }
}

/** What passes, for a watcher too where there is one. */
const watchable = (remember: (request: RequestAccepted) => void) => {
  let watcher: RelayWatcher | null = null
  return {
    watch: (given: RelayWatcher) => void (watcher = given),
    frames: (frames: Frames) => watcher?.frames(frames),
    remember: (request: RequestAccepted) => {
      remember(request)
      watcher?.accepted(request)
    },
  }
}

const makeRelay = Effect.fn("Relay.make")(function* ({ subscribersMax, readBytes }: RelayBounds) {
  const tokenLog = yield* TokenLog
  const requestLog = yield* RequestLog
  const { find, remember } = makeFind(requestLog)
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  const partitions = yield* openPartitions(tokenLog, readBytes)
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const followers = new Followers(partitions, subscribersMax, now)
  const metrics = yield* Metrics
  metrics.count("sluice_fenced_entries_total", {}, 0)
  const showOpen = Effect.sync(() => metrics.gauge("sluice_subscribers", {}, followers.size))
  yield* showOpen.pipe(Effect.repeat(Schedule.spaced(showEveryMs)), Effect.forkScoped)
  const lost = yield* Deferred.make<never, LogError>()
  let onEnded: ((requestId: string) => void) | null = null
  const watched = watchable(remember)

  yield* Effect.forEach(partitions, ({ catchUp }) => Effect.forkScoped(catchUp.run()))
  yield* tokenLog.tail({
    from: new Map(partitions.map(({ offset }, index) => [index, offset])),
    onFrames: (index, frames) => {
      if (frames.some(({ damage }) => damage !== null)) runFork(logDamage(index, frames))
      const fenced = partitions[index]?.onFrames(frames) ?? 0
      if (fenced > 0) metrics.count("sluice_fenced_entries_total", {}, fenced)
      if (onEnded !== null) tellEnded(frames, onEnded)
      watched.frames(frames)
    },
    onError: (error) => {
      followers.lose(error)
      Deferred.doneUnsafe(lost, Effect.fail(error))
    },
  })

  const followHistory = Effect.fnUntraced(function* (
    requestId: string,
    cursor: number,
    subscriber: Subscriber,
  ) {
    const request = yield* find(requestId)
    const start = yield* historyStart(tokenLog, requestId)
    if (followers.isFull) return yield* tooMany(subscribersMax, followers.roomInMs)
    return yield* Effect.callback<Follower, RelayError | LogError>((resume) => {
      const follower = followers.follow({
        requestId,
        partition: tokenLog.partitionOf(requestId),
        subscriber,
        cursor,
        offset: start.offset,
        end: start.end,
        choices: request.prompts.length * request.n,
        mustBegin: start.mayLackBeginning,
        hasEnded: now() > request.deadline + endedGraceMs,
        onSettled: (error) =>
          resume(error === null ? Effect.sync(() => follower) : Effect.fail(error)),
      })
      return Effect.sync(() => follower.close())
    })
  })

  return Relay.of({
    find,
    findChat: requestLog.findChat,
    remember: watched.remember,
    lost: Deferred.await(lost),
    onEnded: (listener) => {
      onEnded = listener
    },
    watch: watched.watch,
    subscribeNew: (requestId, subscriber) => {
      if (followers.isFull)
        return (subscriber.onError(tooMany(subscribersMax, followers.roomInMs)), closed)
      const partition = tokenLog.partitionOf(requestId)
      const offset = followers.offsetOf(partition)
      const fresh = {
        cursor: 0,
        offset,
        end: 0,
        choices: 0,
        mustBegin: false,
        hasEnded: false,
        onSettled: null,
      }
      return followers.subscription(
        followers.follow({ requestId, partition, subscriber, ...fresh }),
      )
    },
    subscribe: (requestId, cursor, subscriber) =>
      Effect.map(followHistory(requestId, cursor, subscriber), (follower) =>
        followers.subscription(follower),
      ),
    view: Effect.fn("Relay.view")(function* (requestId) {
      const request = yield* find(requestId)
      const kept = new TextKeeper()
      const follower = yield* followHistory(requestId, 0, kept)
      follower.close()
      return viewOf(request, follower.state, kept)
    }),
  })
})

export const layerRelayWithin = (bounds: RelayBounds) => Layer.effect(Relay, makeRelay(bounds))

export const layerRelay = layerRelayWithin(relayBounds)
