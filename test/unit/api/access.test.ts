// Who may come in: rate, keys, origins and addresses.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { authenticator } from "../../../src/api/auth.ts"
import { checkCaller, exposureFault } from "../../../src/api/exposure.ts"
import { RateLimit } from "../../../src/api/RateLimit.ts"
import { defaults } from "../../../src/config/settings.ts"

const rate = { requestsPerSecond: 100, burst: 200 }

describe("a tenant's bucket", () => {
  const take = (tenant: string) =>
    Effect.flatMap(RateLimit, (rateLimit) => rateLimit.take(tenant, rate))
  const takeMany = (tenant: string, times: number) =>
    Effect.map(
      Effect.forEach(Array.from({ length: times }), () => take(tenant)),
      (decisions) => decisions.filter((decision) => decision.allowed).length,
    )

  it.effect("holds its burst, then refills at its rate", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* takeMany("a", 250), 200)
      const refused = yield* take("a")
      assert.deepInclude(refused, { allowed: false, limit: 200, remaining: 0, retryAfterMs: 10 })
      assert.strictEqual(refused.resetMs, 2000)
      yield* TestClock.adjust(9)
      assert.isFalse((yield* take("a")).allowed)
      yield* TestClock.adjust(1)
      assert.isTrue((yield* take("a")).allowed)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* takeMany("a", 250), 100)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* takeMany("a", 250), 200)
    }).pipe(Effect.provide(RateLimit.layerMemory)),
  )

  it.effect("is its own", () =>
    Effect.gen(function* () {
      yield* takeMany("a", 200)
      assert.isFalse((yield* take("a")).allowed)
      assert.isTrue((yield* take("b")).allowed)
    }).pipe(Effect.provide(RateLimit.layerMemory)),
  )

  it.effect("is forgotten past ten thousand tenants, the longest unseen first", () =>
    Effect.gen(function* () {
      yield* takeMany("old", 200)
      yield* takeMany("seen", 200)
      for (let i = 0; i < 9998; i++) yield* take(`t${i}`)
      assert.isFalse((yield* take("seen")).allowed)
      yield* take("one more")
      assert.isFalse((yield* take("seen")).allowed)
      assert.isTrue((yield* take("old")).allowed)
    }).pipe(Effect.provide(RateLimit.layerMemory)),
  )
})

describe("a key", () => {
  const apiKeys = [
    { key: "sk-one", tenant: "one", ...rate },
    { key: "sk-two", tenant: "two", requestsPerSecond: 5, burst: 9 },
  ]
  const authenticate = authenticator({ ...defaults(), apiKeys })
  const tenantOf = (authorization?: string) =>
    Effect.runSync(
      Effect.match(authenticate(authorization === undefined ? {} : { authorization }), {
        onSuccess: (identity) => identity.tenant,
        onFailure: (failure) => failure.reason,
      }),
    )

  it("names its tenant and rate", () => {
    assert.strictEqual(tenantOf("Bearer sk-one"), "one")
    assert.strictEqual(tenantOf("bearer  sk-two "), "two")
    const offered = authenticate({ "sec-websocket-protocol": "sluice, sluice-key.sk%2Dtwo" })
    assert.strictEqual(Effect.runSync(offered).tenant, "two")
    const broken = authenticate({ "sec-websocket-protocol": "sluice-key.%" })
    assert.isTrue(Exit.isFailure(Effect.runSyncExit(broken)))
    const identity = Effect.runSync(authenticate({ authorization: "Bearer sk-two" }))
    assert.strictEqual(identity.rate.burst, 9)
  })

  it("is needed once any is configured, and must be right", () => {
    for (const header of [
      undefined,
      "",
      "sk-one",
      "Basic sk-one",
      "Bearer",
      "Bearer sk-on",
      "Bearer sk-one2",
    ]) {
      assert.strictEqual(tenantOf(header), "unauthenticated", header)
    }
  })

  it("is not needed where none is configured", () => {
    const open = authenticator(defaults())
    assert.strictEqual(Effect.runSync(open({})).tenant, "")
  })
})

describe("a server without keys", () => {
  const apiKeys = [{ key: "k", tenant: "t", ...rate }]
  const starts: ReadonlyArray<readonly [Parameters<typeof exposureFault>[0], boolean]> = [
    [{ ...defaults(), host: "127.0.0.1" }, true],
    [{ ...defaults(), host: "127.8.9.1" }, true],
    [{ ...defaults(), host: "localhost" }, true],
    [{ ...defaults(), host: "::1" }, true],
    [{ ...defaults(), host: "0.0.0.0" }, false],
    [{ ...defaults(), host: "::" }, false],
    [{ ...defaults(), host: "10.0.0.5" }, false],
    [{ ...defaults(), host: "127.evil.example" }, false],
    [{ ...defaults(), host: "0.0.0.0", insecure: true }, true],
    [{ ...defaults(), host: "0.0.0.0", apiKeys }, true],
  ]
  it.each(starts)("%# may start on its address or not", (config, allowed) => {
    assert.strictEqual(exposureFault(config) === null, allowed)
  })

  const open = defaults()
  const listed = { ...open, corsOrigins: ["https://a.example"] }
  const insecure = { ...open, insecure: true }
  const callers: ReadonlyArray<
    readonly [string, Record<string, string>, Parameters<typeof checkCaller>[1], boolean]
  > = [
    ["a program", { host: "localhost:8000" }, open, true],
    ["a program, by address", { host: "127.0.0.1:8000" }, open, true],
    ["a program, by IPv6", { host: "[::1]:8000" }, open, true],
    ["no host at all", {}, open, true],
    ["a rebound name", { host: "evil.example:8000" }, open, false],
    ["a look-alike", { host: "localhost.evil.example" }, open, false],
    ["another name, insecure", { host: "gpu.lan:8000" }, insecure, true],
    ["another name, with keys", { host: "gpu.lan" }, { ...open, apiKeys }, true],
    ["its own page", { host: "localhost:8000", origin: "http://localhost:8000" }, open, true],
    ["a foreign page", { host: "localhost:8000", origin: "https://a.example" }, open, false],
    [
      "a page from another port",
      { host: "localhost:8000", origin: "http://localhost:3000" },
      open,
      false,
    ],
    ["a file", { host: "localhost:8000", origin: "null" }, open, false],
    ["a listed page", { host: "localhost:8000", origin: "https://a.example" }, listed, true],
    ["an unlisted page", { host: "localhost:8000", origin: "https://b.example" }, listed, false],
    [
      "any page, if so listed",
      { host: "localhost", origin: "https://b.example" },
      { ...open, corsOrigins: ["*"] },
      true,
    ],
  ]
  it.each(callers)("lets in or refuses %s", (_, headers, config, allowed) => {
    const outcome = Effect.match(checkCaller(headers, config), {
      onSuccess: () => true,
      onFailure: () => false,
    })
    assert.strictEqual(Effect.runSync(outcome), allowed)
  })
})
