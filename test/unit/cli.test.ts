// The command line: flags to settings, help that is complete, and sentences for what is wrong.
import { assert, describe, it } from "@effect/vitest"
import { Cause } from "effect"
import { announcement } from "../../src/cli/announce.ts"
import { parseArgs } from "../../src/cli/args.ts"
import { commands, processes } from "../../src/cli/commands.ts"
import { failureSentence } from "../../src/cli/failure.ts"
import { commandHelp, generalHelp } from "../../src/cli/help.ts"
import { printConfig } from "../../src/cli/printConfig.ts"
import { parseConfig } from "../../src/config/configFile.ts"
import { flagOf, variableOf } from "../../src/config/setting.ts"
import { allSettings, defaults } from "../../src/config/settings.ts"
import { suggest } from "../../src/config/suggest.ts"

const parse = (...args: ReadonlyArray<string>) => parseArgs(processes.serve, args, allSettings)

const flags = (...args: ReadonlyArray<string>) => {
  const parsed = parse(...args)
  assert.isTrue(parsed.ok)
  return parsed.ok ? parsed.value.flags : {}
}

describe("arguments", () => {
  it("take a value after a space or an equals sign", () => {
    assert.deepStrictEqual(flags("--port", "1", "--host=::1", "--limits-body-bytes=1MiB"), {
      port: "1",
      host: "::1",
      "limits-body-bytes": "1MiB",
    })
  })

  it("take a truth with or without a value", () => {
    assert.deepStrictEqual(flags("--insecure", "--port", "1"), { insecure: "true", port: "1" })
    assert.deepStrictEqual(flags("--worker-prefix-cache=false"), { "worker-prefix-cache": "false" })
  })

  it("keep the settings file apart", () => {
    const parsed = parse("--config", "a.yaml")
    assert.isTrue(parsed.ok && parsed.value.file === "a.yaml")
  })

  const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
    [["--prot", "1"], /unknown flag --prot; did you mean "port"\?/],
    [["--nothing-like-it"], /unknown flag --nothing-like-it\nMost used: --model --host --port/],
    [["-p", "1"], /unknown flag -p/],
    [["8000"], /unexpected "8000"/],
    [["--port"], /--port takes a whole number from 0 to 65535/],
    [["--port", "--host", "a"], /--port takes a whole number/],
    [["--api-keys", "x"], /unknown flag --api-keys/],
  ]
  for (const [args, expected] of wrong) {
    it(`${args.join(" ")} is refused with what is allowed`, () => {
      const parsed = parse(...args)
      assert.isFalse(parsed.ok)
      if (!parsed.ok) assert.match(parsed.message, expected)
    })
  }

  it("of a worker name no port", () => {
    assert.isFalse(parseArgs(processes.worker, ["--port", "1"], allSettings).ok)
  })
})

describe("help", () => {
  it("of serve names every setting's flag and variable, its range and its default", () => {
    const help = commandHelp(processes.serve, allSettings)
    for (const setting of allSettings) {
      assert.include(help, variableOf(setting.key))
      if (!setting.secret) assert.include(help, `--${flagOf(setting.key)}`)
      assert.include(help.toLowerCase().replace(/\s+/g, " "), setting.expects.toLowerCase())
    }
    assert.include(help, "Default: 8000.")
  })

  it("names every command, and every command has help that fits 100 columns", () => {
    for (const command of commands) {
      assert.include(generalHelp("1.0.0"), command.summary)
      for (const line of commandHelp(command, allSettings).split("\n")) {
        assert.isAtMost(line.length, 100, line)
      }
    }
  })
})

describe("sluice config", () => {
  it("prints what the file reader takes back, without any key", () => {
    const config = { ...defaults(), port: 9000 }
    const printed = printConfig({ config, sources: new Map([["port", "--port"]]) })
    assert.match(printed, /^port: 9000 +# --port$/m)
    const keys = allSettings.map(({ key }) => key)
    const { values, problems } = parseConfig("sluice.yaml", printed, keys)
    assert.deepStrictEqual(problems, [])
    assert.strictEqual(values.get("limits.bodyBytes")?.raw, config.limits.bodyBytes)
    assert.strictEqual(values.get("port")?.raw, 9000)
  })

  it("counts keys and shows none", () => {
    const key = { key: "secret", tenant: "t", requestsPerSecond: 1, burst: 1 }
    const printed = printConfig({
      config: { ...defaults(), apiKeys: [key] },
      sources: new Map(),
    })
    assert.notInclude(printed, "secret")
    assert.match(printed, /^# apiKeys: 1 configured/m)
  })
})

describe("the announcement", () => {
  const config = defaults()
  const ready = {
    kind: "serve",
    config,
    url: "http://127.0.0.1:1",
    adminUrl: null,
    device: "cpu",
    startMs: 3,
  } as const

  it("has the address, a line to paste, the data folder and what the model is", () => {
    const text = announcement(ready)
    assert.match(text, /^sluice serve is ready on http:\/\/127\.0\.0\.1:1 /)
    assert.match(text, /curl -N http:\/\/127\.0\.0\.1:1\/v1\/completions .*application\/json/)
    assert.include(text, "small story model")
    assert.include(text, "--model")
    assert.include(text, "data")
  })

  it("quotes a model's name for the shell", () => {
    const text = announcement({ ...ready, config: { ...config, servedModelName: "it's" } })
    assert.include(text, `it'\\''s`)
  })

  it("never prints a key", () => {
    const key = { key: "secret", tenant: "t", requestsPerSecond: 1, burst: 1 }
    const text = announcement({ ...ready, config: { ...config, apiKeys: [key] } })
    assert.notInclude(text, "secret")
    assert.include(text, "authorization: Bearer")
  })
})

describe("a failure", () => {
  const place = { host: "127.0.0.1", port: 80 }

  it("of the system is one sentence that says what to do, however deep it is", () => {
    const inUse = Object.assign(new Error("listen"), { code: "EADDRINUSE" })
    const wrapped = Cause.fail({ message: "serve failed", cause: { cause: inUse } })
    const sentence = failureSentence(wrapped, place)
    assert.strictEqual(
      sentence,
      "sluice: 127.0.0.1:80 is in use by another process; choose another with --port.",
    )
  })

  it("that is expected is its own message, without a stack", () => {
    const sentence = failureSentence(Cause.fail(new Error("no such model")), place)
    assert.strictEqual(sentence, "sluice: no such model")
  })

  it("that is a fault of ours is shown whole", () => {
    const sentence = failureSentence(Cause.die(new Error("impossible")), place)
    assert.match(sentence, /a fault in Sluice.*\n.*impossible/)
  })
})

describe("a suggestion", () => {
  it("is the nearest name, or none", () => {
    assert.strictEqual(suggest("prot", ["port", "host"]), "port")
    assert.strictEqual(suggest("body_bytes", ["limits.bodyBytes", "port"]), null)
    assert.strictEqual(suggest("log_level", ["logLevel"]), "logLevel")
    assert.strictEqual(suggest("x".repeat(10_000), ["port"]), null)
  })
})
