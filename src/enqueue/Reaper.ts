// Gives its end to every request that nobody is left to end: whose worker died for good, whose
// model nobody runs, whose partition nobody owns. Each gateway looks by itself through what the
// worker groups have not committed, and appends Expired where a deadline is well past. Somebody
// else may do the same, or the true end may come first: the fold takes the first and drops the
// rest.
import { hostname } from "node:os"
import { Clock, Context, Effect, Layer } from "effect"
import type { LogError, TopicPartition } from "../../streams/Log.ts"
import { RecentIds } from "../../streams/recentIds.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { isRequestId } from "../../streams/requestId.ts"
import { TokenLog } from "../../streams/TokenLog.ts"

export interface ReaperBounds {
  readonly everyMs: number
  /** Past the deadline: a worker that is alive was faster. */
  readonly graceMs: number
  /** A younger record is left to its worker: most are done before anybody looks. */
  readonly youngMs: number
  /** Of one partition: what is behind so many undecided requests is looked at when some ended. */
  readonly openMax: number
}

/** Together below the time after which an answer gives up waiting for its end. */
const reaperBounds: ReaperBounds = {
  everyMs: 2_000,
  graceMs: 3_000,
  youngMs: 5_000,
  openMax: 10_000,
}

/** Of one partition in one round. */
const readBytesMax = 256 * 1024
/** Ends that were seen before their requests were looked at: about 100 bytes each. */
const endedMax = 65_536

interface Open {
  readonly offset: number
  readonly deadline: number
}

/** What was read of one partition and has not ended, as far as is known here. */
interface Watched {
  next: number
  readonly open: Map<string, Open>
}

const makeReaper = Effect.fnUntraced(function* (bounds: ReaperBounds) {
  const requests = yield* RequestLog
  const tokens = yield* TokenLog
  const writer = `reaper-${hostname()}-${process.pid}`
  const watched = new Map<string, Watched>()
  const ended = new RecentIds(endedMax)
  const watchedOf = ({ topic, partition }: TopicPartition): Watched => {
    const name = `${topic}/${partition}`
    const known = watched.get(name) ?? { next: 0, open: new Map<string, Open>() }
    watched.set(name, known)
    return known
  }

  /** Reads on, up to what is too young to be an orphan. */
  const readOn = Effect.fnUntraced(function* (at: TopicPartition, own: Watched, nowMs: number) {
    if (own.open.size >= bounds.openMax) return
    const youngSince = nowMs - bounds.youngMs
    // Mostly the first one is too young already: then no other is read.
    const [first] = yield* requests.readFrom(at, own.next, 1)
    if (first === undefined || first.timestamp > youngSince) return
    for (const record of yield* requests.readFrom(at, own.next, readBytesMax)) {
      if (record.timestamp > youngSince || own.open.size >= bounds.openMax) return
      own.next = record.offset + 1
      const request = record.value
      // Where ids go wrong, a worker buries the record; its entries have no place in the token log.
      if (request === null || !isRequestId(request.requestId)) continue
      if (ended.has(request.requestId)) continue
      own.open.set(request.requestId, { offset: record.offset, deadline: request.deadline })
    }
  })

  const look = Effect.fnUntraced(function* (at: TopicPartition) {
    const own = watchedOf(at)
    const nowMs = yield* Clock.currentTimeMillis
    const settled = yield* requests.settledBelow(at)
    own.next = Math.max(own.next, settled)
    for (const [requestId, { offset }] of own.open) {
      if (offset < settled) own.open.delete(requestId)
    }
    yield* readOn(at, own, nowMs)
    for (const [requestId, { deadline }] of own.open) {
      if (deadline + bounds.graceMs > nowMs) continue
      const partition = tokens.partitionOf(requestId)
      yield* tokens.append(partition, writer, [{ kind: "Expired", requestId, deadline }])
      own.open.delete(requestId)
    }
  })

  const round: Effect.Effect<void, LogError> = Effect.gen(function* () {
    for (const at of yield* requests.allPartitions) yield* look(at)
  })
  // A log that is away is looked at again in the next round.
  yield* round.pipe(
    Effect.catch((error) => Effect.logWarning(`orphans were not looked for: ${error.message}`)),
    Effect.andThen(Effect.sleep(bounds.everyMs)),
    Effect.forever,
    Effect.forkScoped,
  )
  return Reaper.of({
    ended: (requestId) => {
      ended.add(requestId)
      for (const { open } of watched.values()) open.delete(requestId)
    },
  })
})

export class Reaper extends Context.Service<
  Reaper,
  {
    /** Somebody saw the request end: it is no orphan. */
    readonly ended: (requestId: string) => void
  }
>()("sluice/enqueue/Reaper") {
  static readonly layer = Layer.effect(
    Reaper,
    Effect.suspend(() => makeReaper(reaperBounds)),
  )

  /** In a hurry; for tests. */
  static readonly layerWithin = (bounds: ReaperBounds) => Layer.effect(Reaper, makeReaper(bounds))
}
