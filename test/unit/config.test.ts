// What is in force and where it came from, for every way of saying it; and that what is wrong is
// named.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { afterAll, beforeAll } from "vitest"
import { type ConfigInputs, loadConfig } from "../../src/config/load.ts"
import { flagOf, variableOf } from "../../src/config/setting.ts"
import { allSettings, defaults } from "../../src/config/settings.ts"

let folder = ""
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-config-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const load = (inputs: Partial<ConfigInputs> & { readonly yaml?: string }) => {
  const { yaml, ...rest } = inputs
  if (yaml !== undefined) writeFileSync(join(folder, "test.yaml"), yaml)
  const file = yaml === undefined ? null : join(folder, "test.yaml")
  return loadConfig({ file, variables: {}, flags: {}, folder, ...rest })
}

const problems = (inputs: Partial<ConfigInputs> & { readonly yaml?: string }) =>
  Effect.map(Effect.result(load(inputs)), (result) =>
    Result.isFailure(result) ? result.failure.message.replaceAll(`${folder}/`, "") : "no problem",
  )

describe("the value in force", () => {
  it.effect("is the default where nobody says otherwise", () =>
    Effect.gen(function* () {
      const { config, sources } = yield* load({})
      assert.deepStrictEqual(config, { ...defaults(), data: join(folder, "data") })
      assert.isTrue([...sources.values()].every((source) => source === "default"))
    }),
  )

  it.effect("is the flag's before the variable's before the file's", () =>
    Effect.gen(function* () {
      const yaml = "port: 1\nhost: file\ndtype: float32\n"
      const variables = { SLUICE_PORT: "2", SLUICE_HOST: "variable" }
      const { config, sources } = yield* load({ yaml, variables, flags: { port: "3" } })
      assert.deepStrictEqual([config.port, config.host, config.dtype], [3, "variable", "float32"])
      assert.strictEqual(sources.get("port"), "--port")
      assert.strictEqual(sources.get("host"), "SLUICE_HOST")
      assert.strictEqual(sources.get("dtype"), `${join(folder, "test.yaml")}:3`)
    }),
  )

  it.effect("may be written with units", () =>
    Effect.gen(function* () {
      const yaml = "limits:\n  bodyBytes: 2MiB\n  requestTimeoutMs: 5m\nlog:\n  retentionMs: 7d\n"
      const { config } = yield* load({ yaml })
      assert.strictEqual(config.limits.bodyBytes, 2 * 1024 * 1024)
      assert.strictEqual(config.limits.requestTimeoutMs, 300_000)
      assert.strictEqual(config.log.retentionMs, 7 * 86_400_000)
    }),
  )

  it.effect("of a path starts from the folder of whoever gave it", () =>
    Effect.gen(function* () {
      const { config } = yield* load({ yaml: "data: logs\n", flags: { model: "m" }, folder: "/x" })
      assert.strictEqual(config.data, join(folder, "logs"))
      assert.strictEqual(config.model, "/x/m")
      assert.strictEqual(config.servedModelName, "m")
    }),
  )

  it.effect(
    "stands beside what the engine and the tools read from the environment themselves",
    () =>
      Effect.gen(function* () {
        const own = ["ISA", "ENGINE_CUDA", "CUBLASLT", "CUDA_GRAPHS", "GRAMMAR", "BENCH_MODEL"]
        const variables = Object.fromEntries(own.map((name) => [`SLUICE_${name}`, "x"]))
        const { config } = yield* load({ variables: { ...variables, SLUICE_PORT: "2" } })
        assert.strictEqual(config.port, 2)
      }),
  )

  it.effect("of keys may be a list or a text, and leaves out the rate that it does not name", () =>
    Effect.gen(function* () {
      const yaml = "apiKeys:\n  - key: a\n    tenant: t\n    burst: 7\nrate:\n  burst: 9\n"
      const fromFile = yield* load({ yaml })
      assert.deepStrictEqual(fromFile.config.apiKeys, [{ key: "a", tenant: "t", burst: 7 }])
      const fromText = yield* load({ variables: { SLUICE_API_KEYS: "a, t:b" } })
      assert.deepStrictEqual(
        fromText.config.apiKeys.map(({ key, tenant }) => [key, tenant]),
        [
          ["a", "key-1"],
          ["b", "t"],
        ],
      )
    }),
  )
})

describe("a problem names its place", () => {
  const cases: ReadonlyArray<
    readonly [string, Partial<ConfigInputs> & { readonly yaml?: string }, RegExp]
  > = [
    ["a flag", { flags: { port: "80x" } }, /^--port: port must be a whole number .* found "80x"$/],
    ["a range", { flags: { port: "65536" } }, /^--port: port must be .*65535; found "65536"$/],
    ["a variable", { variables: { SLUICE_DTYPE: "int4" } }, /^SLUICE_DTYPE: dtype must be one of/],
    ["a line", { yaml: "host: a\nlimits:\n  bodyBytes: lots\n" }, /^test.yaml:3: limits.bodyBytes/],
    ["a wrong type", { yaml: "port: [1]\n" }, /^test.yaml:1: port must be .* found \[1\]$/],
    ["an unknown key", { yaml: "prot: 1\n" }, /unknown setting "prot"; did you mean "port"\?$/],
    [
      "a deep unknown key",
      { yaml: "limits:\n  body: 1\n" },
      /^test.yaml:2: unknown setting "limits.b/,
    ],
    ["another spelling", { yaml: "log_level: info\n" }, /did you mean "logLevel"\?$/],
    ["an unknown variable", { variables: { SLUICE_PROT: "1" } }, /did you mean "SLUICE_PORT"\?$/],
    ["bad YAML", { yaml: "a: [1\n" }, /^test.yaml:\d: /],
    ["a repeated key", { yaml: "port: 1\nport: 2\n" }, /^test.yaml:\d: /],
    ["no map", { yaml: "- 1\n" }, /^test.yaml:1: expected settings/],
    ["a value for a section", { yaml: "limits: 3\n" }, /^test.yaml:1: limits holds further/],
    ["an alias", { yaml: "host: &x a\nmodel: *x\n" }, /^test.yaml:2: model: aliases/],
    [
      "two that disagree",
      { flags: { "worker-sequences-max": "600" } },
      /^worker.batchTokensMax \(512\) must exceed worker.sequencesMax \(600\)/,
    ],
    ["a missing file", { file: "none.yaml" }, /^cannot read none.yaml: /],
  ]
  for (const [name, inputs, expected] of cases) {
    it.effect(name, () => Effect.map(problems(inputs), (found) => assert.match(found, expected)))
  }

  it.effect("all of them at once", () =>
    Effect.map(problems({ yaml: "prot: 1\n", flags: { port: "x" } }), (found) =>
      assert.strictEqual(found.split("\n").length, 2),
    ),
  )

  it.effect("and never shows a key", () =>
    Effect.map(problems({ yaml: "apiKeys:\n  - secret-key\n" }), (found) => {
      assert.notInclude(found, "secret-key")
      assert.include(found, "apiKeys")
    }),
  )
})

describe("names", () => {
  it("of flags and variables follow from keys and never collide", () => {
    assert.strictEqual(flagOf("limits.bodyTimeoutMs"), "limits-body-timeout-ms")
    assert.strictEqual(variableOf("limits.bodyTimeoutMs"), "SLUICE_LIMITS_BODY_TIMEOUT_MS")
    const names = allSettings.map(({ key }) => variableOf(key))
    assert.strictEqual(new Set(names).size, names.length)
  })

  it("every default is a value that the setting itself would take", () => {
    for (const setting of allSettings) {
      if (setting.fallback === "") continue
      assert.isTrue(setting.decode(setting.fallback)._tag === "Some", setting.key)
    }
  })
})
