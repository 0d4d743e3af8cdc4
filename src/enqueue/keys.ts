// The idempotency keys that are held, as this gateway reads them in the key log, and the way to
// claim one: append, read on to the own claim, and see who holds the key. A view that every gateway
// comes to by itself; nothing here is shared but the log.
import { Clock, Deferred, Effect } from "effect"
import type { KeyClaimed } from "../../schemas/types.ts"
import { type KeyHolder, KeyHolders } from "../../streams/fold/keyHolders.ts"
import { KeyLog } from "../../streams/KeyLog.ts"
import type { LogError } from "../../streams/Log.ts"
import type { ReadRecord } from "../../streams/readRecord.ts"
import { Config } from "../config/Config.ts"

/** What a client asked for under a key: digests, so that neither key nor text is kept. */
export interface Idempotency {
  readonly key: string
  readonly body: string
}

export interface Keys {
  readonly keysMax: number
  /** As far as this gateway has read. */
  readonly holder: (keyDigest: string, nowMs: number) => KeyHolder | null
  /** Who holds the key once the claim is in the log: by its order, so for good. */
  readonly claim: (claim: KeyClaimed) => Effect.Effect<KeyHolder, LogError>
  /** 0: there is room for another key; else how long until there is. */
  readonly fullForMs: (nowMs: number) => number
}

type Asked = Deferred.Deferred<KeyHolder, LogError>

export const makeKeys = Effect.gen(function* () {
  const config = yield* Config
  const keyLog = yield* KeyLog
  const holders = new KeyHolders(config.log.retentionMs)
  /** Own claims that were not read back yet, by request. */
  const asked = new Map<string, Asked>()
  let lost: LogError | null = null

  const take = ({ value, timestamp }: ReadRecord<KeyClaimed>) => {
    if (value === null) return
    holders.apply(value, timestamp)
    const holder = holders.holder(value.keyDigest, timestamp)
    const decided = asked.get(value.requestId)
    if (decided !== undefined && holder !== null) {
      Deferred.doneUnsafe(decided, Effect.succeed(holder))
    }
  }
  yield* keyLog.tail({
    since: (yield* Clock.currentTimeMillis) - config.log.retentionMs,
    onClaims: (claims) => claims.forEach(take),
    onError: (error) => {
      lost = error
      for (const decided of asked.values()) Deferred.doneUnsafe(decided, Effect.fail(error))
    },
  })

  const claim = Effect.fn("Keys.claim")(function* (asks: KeyClaimed) {
    if (lost !== null) return yield* lost
    const decided: Asked = yield* Deferred.make<KeyHolder, LogError>()
    asked.set(asks.requestId, decided)
    return yield* keyLog
      .append(asks)
      .pipe(
        Effect.andThen(Deferred.await(decided)),
        Effect.ensuring(Effect.sync(() => asked.delete(asks.requestId))),
      )
  })

  const keys: Keys = {
    get keysMax() {
      return config.limits.keysMax
    },
    claim,
    holder: (keyDigest, nowMs) => holders.holder(keyDigest, nowMs),
    fullForMs: (nowMs) => {
      const endsInMs = holders.oldestEndsInMs(nowMs)
      return holders.size < config.limits.keysMax ? 0 : Math.max(1, endsInMs)
    },
  }
  return keys
})
