// The log of idempotency keys: who asked first under a key. Its order decides, for all gateways
// alike (fold/keyHolders.ts says how), so who claims a key appends, reads on to its own claim, and
// then knows. One partition, because only one order can decide.
import { Context, Effect, Layer, type Scope } from "effect"
import { codecs } from "../schemas/codec.ts"
import type { KeyClaimed } from "../schemas/types.ts"
import { Log, type LogError } from "./Log.ts"
import { type ReadRecord, readRecords } from "./readRecord.ts"
import { keyTopic } from "./topics.ts"

export interface KeyTail {
  /** ms since the epoch: nothing older is wanted. */
  readonly since: number
  /** In log order, without gap. */
  readonly onClaims: (claims: ReadonlyArray<ReadRecord<KeyClaimed>>) => void
  /** Called once when the tail cannot go on. */
  readonly onError: (error: LogError) => void
}

const partition = { topic: keyTopic, partition: 0 }

export class KeyLog extends Context.Service<
  KeyLog,
  {
    /** Durable when it succeeds; the offset is the claim's. */
    readonly append: (claim: KeyClaimed) => Effect.Effect<number, LogError>
    /** Claims since then, then each new one, until the scope closes. */
    readonly tail: (options: KeyTail) => Effect.Effect<void, LogError, Scope.Scope>
  }
>()("sluice/streams/KeyLog") {
  static readonly layer = Layer.effect(
    KeyLog,
    Effect.map(Log, (log) =>
      KeyLog.of({
        append: (claim) =>
          Effect.suspend(() =>
            log.append(partition, [
              { key: claim.keyDigest, value: codecs.keyClaimed.encode(claim) },
            ]),
          ),
        tail: Effect.fnUntraced(function* ({ since, onClaims, onError }) {
          const offset = yield* log.offsetAt(partition, since)
          yield* log.tail({
            topic: keyTopic,
            from: new Map([[0, offset]]),
            onRecords: (_, records) => onClaims(readRecords(codecs.keyClaimed, records)),
            onError,
          })
        }),
      }),
    ),
  )
}
