// A chat's newest request, wherever it lies: in any tier and partition, in the window before the
// last or in an older one, and no other tenant's.
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import type { RequestAccepted, Tier } from "../../../schemas/types.ts"
import { findChat } from "../../../streams/findChat.ts"
import { Log } from "../../../streams/Log.ts"
import { layerMemory } from "../../../streams/memory/MemoryLog.ts"
import { newRequestId } from "../../../streams/requestId.ts"
import { RequestLog } from "../../../streams/RequestLog.ts"
import { modelTopics } from "../../../streams/topics.ts"
import { exampleRequest } from "../../support/events.ts"

const options = {
  requestPartitions: 3,
  tokenPartitions: 1,
  retentionMs: 86_400_000,
  retentionBytes: 1024 ** 3,
}

const layerTopics = Layer.effectDiscard(
  Effect.flatMap(Log, (log) =>
    log.createTopics(modelTopics(exampleRequest.model, exampleRequest.version, options)),
  ),
)

const layer = RequestLog.layer.pipe(
  Layer.provideMerge(layerTopics),
  Layer.provideMerge(layerMemory),
)

interface Said {
  readonly chat: string
  readonly tenant?: string
  readonly dialect?: string
  readonly tier?: Tier
  readonly partition?: number
}

const say = Effect.fnUntraced(function* ({ chat, tenant = "me", dialect = "ui", ...place }: Said) {
  const requests = yield* RequestLog
  const acceptedAt = yield* Clock.currentTimeMillis
  const request: RequestAccepted = {
    ...exampleRequest,
    requestId: newRequestId(acceptedAt),
    acceptedAt,
    tenant,
    dialect,
    tier: place.tier ?? "default",
    answer: { ...exampleRequest.answer, clientId: chat },
  }
  yield* requests.append(request, { partition: place.partition ?? 0, key: chat })
  return request.requestId
})

/** As asked so long from now: what was said now lies that far back. */
const find = Effect.fnUntraced(function* (clientId: string, place: { afterMs?: number } = {}) {
  const requests = yield* RequestLog
  const now = (yield* Clock.currentTimeMillis) + (place.afterMs ?? 0)
  const wanted = { tenant: "me", dialect: "ui", clientId, since: now - 20 * minute, now }
  return (yield* requests.findChat(wanted))?.requestId ?? null
})

const minute = 60_000

describe("a chat's newest request", () => {
  it.live("is found in any tier, partition and window", () =>
    Effect.gen(function* () {
      const first = yield* say({ chat: "a", partition: 2, tier: "flex" })
      yield* say({ chat: "a", dialect: "chat" })
      for (let i = 0; i < 20; i++) yield* say({ chat: `other-${i}`, partition: i % 3 })
      for (const afterMs of [0, minute, 5 * minute, 19 * minute]) {
        assert.strictEqual(yield* find("a", { afterMs }), first, `after ${afterMs} ms`)
      }
      assert.isNull(yield* find("a", { afterMs: 21 * minute }), "too long ago")
      yield* Effect.sleep(5)
      const last = yield* say({ chat: "a", partition: 1, tier: "priority" })
      assert.strictEqual(yield* find("a"), last)
      assert.strictEqual(yield* find("a", { afterMs: 10 * minute }), last)
    }).pipe(Effect.provide(layer)),
  )

  it.live("is not looked for beyond so many bytes", () =>
    Effect.gen(function* () {
      yield* say({ chat: "a" })
      for (let i = 0; i < 20; i++) yield* say({ chat: `other-${i}`, partition: 1 + (i % 2) })
      const log = yield* Log
      const now = (yield* Clock.currentTimeMillis) + 5 * minute
      const wanted = { tenant: "me", dialect: "ui", clientId: "a", since: now - 20 * minute, now }
      assert.isNotNull(yield* findChat(log, wanted))
      assert.isNull(yield* findChat(log, { ...wanted, clientId: "other-19" }, 1))
    }).pipe(Effect.provide(layer)),
  )

  it.live("is the tenant's own", () =>
    Effect.gen(function* () {
      const mine = yield* say({ chat: "a" })
      yield* Effect.sleep(5)
      yield* say({ chat: "a", tenant: "you" })
      assert.strictEqual(yield* find("a"), mine)
      assert.isNull(yield* find("b"))
      assert.isNull(yield* find(""))
    }).pipe(Effect.provide(layer)),
  )
})
