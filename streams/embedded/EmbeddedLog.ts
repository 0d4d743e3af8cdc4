// The log on LMDB in a data folder: the contract of Log.ts for one machine, with as many processes
// on the folder as there are. One thread writes, each commit durable before it is acknowledged or
// seen; this one reads from the memory map. It decides nothing about requests.
import { Clock, Effect, Layer, Schedule, type Scope } from "effect"
import { Followers } from "../follow/Followers.ts"
import { tailTopic } from "../follow/tailTopic.ts"
import { noSuchPartition, noSuchTopic } from "../follow/RecordSource.ts"
import { consumeGroup, type GroupTimes, groupTimes } from "../group/consumeGroup.ts"
import { awaited, Log, LogError, type TopicPartition } from "../Log.ts"
import { LogFailure } from "../LogFailure.ts"
import { EmbeddedGroups } from "./EmbeddedGroups.ts"
import { openWriter } from "./openWriter.ts"
import { openPeers, Peers } from "./Peers.ts"
import { Reader } from "./Reader.ts"
import { openStore, type Store } from "./Store.ts"
import { readTopics } from "./topicTable.ts"
import { type AppendTarget, type Committing, Writer } from "./Writer.ts"

export interface EmbeddedLogOptions {
  /** Made where it is missing. */
  readonly folder: string
  /** The most that records take; an append beyond it fails with "full". */
  readonly mapBytes: number
  readonly retentionEveryMs?: number
  readonly groupTimes?: GroupTimes
}

const retentionEveryMs = 10_000

/** Should a wake-up from another process be lost, its records are seen so much later. */
const lookEveryMs = 250

const openReader = (options: EmbeddedLogOptions): Effect.Effect<Store, LogError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const store = openStore(options.folder, options.mapBytes)
      return store instanceof LogFailure ? Effect.fail(new LogError(store)) : Effect.succeed(store)
    }),
    (store) => Effect.promise(() => store.env.close()),
  )

const target = (reader: Reader, at: TopicPartition): AppendTarget | LogError => {
  const row = reader.row(at.topic)
  if (row === null) return noSuchTopic(at.topic)
  if (at.partition < 0 || at.partition >= row.spec.partitions) return noSuchPartition(at)
  return { at, topicId: row.id, compacted: row.spec.cleanup === "compact" }
}

const orFail = <A extends object | number>(value: A | LogError): Effect.Effect<A, LogError> =>
  value instanceof LogError ? Effect.fail(value) : Effect.succeed(value)

interface Parts {
  readonly store: Store
  readonly reader: Reader
  readonly writer: Writer
  readonly followers: Followers
  readonly groups: EmbeddedGroups
  readonly peers: Peers
  readonly times: GroupTimes
}

const service = (parts: Parts): Log["Service"] => {
  const { store, reader, writer, followers, groups, peers, times } = parts
  const { members } = groups
  const world = { store: groups, source: reader, followers, members, times }
  const appendThen: Log["Service"]["appendThen"] = (partition, records, done) => {
    const found = target(reader, partition)
    if (found instanceof LogError) setImmediate(done, found, -1)
    else writer.append(found, records, done)
  }
  return Log.of({
    createTopics: (specs) => Effect.asVoid(writer.call({ kind: "createTopics", specs })),
    topics: Effect.sync(() => {
      reader.renew()
      return readTopics(store).map(({ spec }) => spec)
    }),
    appendThen,
    append: awaited(appendThen),
    read: (partition, offset, bytesMax) =>
      Effect.suspend(() => orFail(reader.read(partition, offset, bytesMax))),
    bounds: (partition) => Effect.suspend(() => orFail(reader.bounds(partition))),
    offsetAt: (partition, timestamp) =>
      Effect.suspend(() => orFail(reader.offsetAt(partition, timestamp))),
    tail: (options) => tailTopic(reader, followers, options),
    consume: (options) => {
      if (options.handler.onEarly !== undefined)
        options.topics.forEach((topic) => peers.want(topic))
      return consumeGroup(world, options)
    },
    committed: (group, partition) => Effect.sync(() => groups.committed(group, partition)),
  })
}

const make = Effect.fnUntraced(function* (
  options: EmbeddedLogOptions,
): Effect.fn.Return<Log["Service"], LogError, Scope.Scope> {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const worker = yield* openWriter({ folder: options.folder, mapBytes: options.mapBytes })
  let announce: (appends: ReadonlyArray<Committing>) => void = () => undefined
  let wake: (partitions: ReadonlyArray<TopicPartition>) => void = () => undefined
  let lost: (error: LogError) => void = () => undefined
  const writer = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new Writer(worker, {
          now,
          onCommitting: (appends) => announce(appends),
          onAppended: (partitions) => wake(partitions),
          onLost: (error) => lost(error),
        }),
    ),
    (opened) => opened.close,
  )
  const store = yield* openReader(options)
  const reader = new Reader(store)
  const followers = new Followers(reader)
  const groups = new EmbeddedGroups({ store, reader, writer, changed: () => peers.look() })
  const wakeAll = (partitions: ReadonlyArray<TopicPartition>) => {
    for (const partition of partitions) followers.wake(partition)
  }
  const look = () => {
    followers.wakeAll()
    groups.refresh()
  }
  const peers = new Peers({
    onLook: look,
    onNew: (partitions) => wakeAll(partitions),
    onChange: () => groups.refresh(),
    onEarly: (partition, records) => groups.early(partition, records),
  })
  yield* openPeers(options.folder, peers)
  announce = (appends) => {
    for (const { at, records } of appends) {
      groups.early(at, records)
      peers.announce(at, records)
    }
  }
  wake = (partitions) => {
    wakeAll(partitions)
    peers.wake(partitions)
  }
  lost = (error) => {
    followers.fail(error)
    for (const member of groups.members) member.fail(error)
  }
  yield* Effect.sync(look).pipe(Effect.schedule(Schedule.spaced(lookEveryMs)), Effect.forkScoped)
  yield* Effect.suspend(() => writer.call({ kind: "retain", now: now() })).pipe(
    Effect.repeat({ while: ({ more }) => more }),
    Effect.ignore,
    Effect.schedule(Schedule.spaced(options.retentionEveryMs ?? retentionEveryMs)),
    Effect.forkScoped,
  )
  return service({
    store,
    reader,
    writer,
    followers,
    groups,
    peers,
    times: options.groupTimes ?? groupTimes,
  })
})

export const embeddedLog = (options: EmbeddedLogOptions): Layer.Layer<Log, LogError> =>
  Layer.effect(Log, make(options))
