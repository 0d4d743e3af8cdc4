// Buckets that all gateways share, in Redis: one script takes a token by Redis's own clock, so that
// gateways need not agree on the time. Nothing here may be missed when it is lost. A Redis that is
// away or slow is left alone for a while; who asks then gets null, at once.
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { Redis } from "ioredis"
import { decisionAt, type Rate, type RateDecision, roundingMax } from "./tokenBucket.ts"

export interface RedisBucketsOptions {
  readonly url: string
  /** Unique among gateways. */
  readonly gateway: string
  readonly now: () => number
  readonly onAway: (why: string) => void
  readonly onBack: () => void
}

/** A call is answered within this or not at all; a request waits for it once. */
const callMsMax = 200
const connectMsMax = 1000

/** After a failure nobody asks for so long, but for one that looks whether it is back. */
const aloneMs = 1000

/** A gateway that was not seen for so long is gone. */
const gatewayMs = 15_000
const retryMsMax = 1000
const gatewaysKey = "sluice:gateways"

/** Gives what the bucket held before. It is gone by itself once it would be full again. */
const takeLua = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local was = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = burst
if was[1] then
  local refilled = tonumber(was[1]) + math.max(0, now - tonumber(was[2])) / 1000 * rate
  level = math.min(burst, refilled)
end
local left = level
if level >= 1 - tonumber(ARGV[3]) then left = math.max(0, level - 1) end
redis.call('HSET', KEYS[1], 'level', string.format('%.9f', left), 'at', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - left) / rate * 1000) + 1000)
return string.format('%.9f', level)`

/** Tells that this gateway lives, and counts those that do. */
const countLua = `
local clock = redis.call('TIME')
redis.call('ZADD', KEYS[1], clock[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', clock[1] - tonumber(ARGV[2]) / 1000)
return redis.call('ZCARD', KEYS[1])`

interface Script {
  readonly lua: string
  readonly hash: string
}

const scriptOf = (lua: string): Script => ({
  lua,
  hash: createHash("sha1").update(lua).digest("hex"),
})

const takeScript = scriptOf(takeLua)
const countScript = scriptOf(countLua)

/** Tenants may be secrets or long: a key holds only their hash. */
const keyOf = (tenant: string): string =>
  `sluice:rate:${createHash("sha256").update(tenant).digest("hex").slice(0, 32)}`

export class RedisBuckets {
  readonly #options: RedisBucketsOptions
  readonly #redis: Redis
  /** The last count there was; it outlives an outage. */
  gateways = 1
  #away = false
  #aloneUntil = 0

  constructor(options: RedisBucketsOptions) {
    this.#options = options
    this.#redis = new Redis(options.url, {
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      commandTimeout: callMsMax,
      connectTimeout: connectMsMax,
      retryStrategy: (attempt) => Math.min(retryMsMax, attempt * 50),
    })
    // Every attempt to connect that fails says so here; with no listener it would end the process.
    this.#redis.on("error", () => undefined)
  }

  /** null: Redis does not answer. */
  take(tenant: string, rate: Rate): Effect.Effect<RateDecision | null> {
    const args = [rate.requestsPerSecond, rate.burst, roundingMax]
    return Effect.map(this.#call(takeScript, keyOf(tenant), args), (level) =>
      level === null ? null : decisionAt(Number(level), rate),
    )
  }

  /** To be done every few seconds. */
  readonly count: Effect.Effect<void> = Effect.suspend(() =>
    Effect.map(
      this.#call(countScript, gatewaysKey, [this.#options.gateway, gatewayMs]),
      (found) => {
        if (found !== null) this.gateways = Math.max(1, Number(found))
      },
    ),
  )

  /** Connected, or not within the time that a connection may take: then it is away for now. */
  readonly ready: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const timer = setTimeout(() => resume(Effect.void), connectMsMax)
    this.#redis.once("ready", () => {
      clearTimeout(timer)
      resume(Effect.void)
    })
  })

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { gateway } = this.#options
    return Effect.tryPromise(() => this.#redis.zrem(gatewaysKey, gateway)).pipe(
      Effect.ignore,
      Effect.andThen(Effect.sync(() => this.#redis.disconnect())),
    )
  })

  #call(script: Script, key: string, args: ReadonlyArray<string | number>): Effect.Effect<unknown> {
    return Effect.suspend(() => {
      const now = this.#options.now()
      if (now < this.#aloneUntil) return Effect.succeed(null)
      // While it is away, one looks whether it is back; the others need not wait for the answer.
      if (this.#away) this.#aloneUntil = now + aloneMs
      return Effect.tryPromise({
        try: () => this.#run(script, key, args),
        catch: (cause) => (cause instanceof Error ? cause.message : String(cause)),
      }).pipe(
        Effect.match({
          onSuccess: (reply) => this.#answered(reply),
          onFailure: (why) => this.#failed(why),
        }),
      )
    })
  }

  /** By its hash; as a whole where Redis does not know it: once after each of its starts. */
  #run({ lua, hash }: Script, key: string, args: ReadonlyArray<string | number>) {
    return this.#redis.evalsha(hash, 1, key, ...args).catch((error: Error) => {
      if (!error.message.startsWith("NOSCRIPT")) throw error
      return this.#redis.eval(lua, 1, key, ...args)
    })
  }

  #answered(reply: unknown): unknown {
    this.#aloneUntil = 0
    if (this.#away) this.#options.onBack()
    this.#away = false
    return reply
  }

  #failed(why: string): null {
    this.#aloneUntil = this.#options.now() + aloneMs
    if (!this.#away) this.#options.onAway(why)
    this.#away = true
    return null
  }
}
