// The section of README.md on Kafka, run as it is written: by a shell, Python and Node, against a
// worker and a gateway on a real Kafka and registry. What each program printed is looked at, and
// that what it asked was run once.
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import {
  AvroDeserializer,
  SchemaRegistryClient,
  SerdeType,
  SubjectNameStrategyType,
} from "@confluentinc/schemaregistry"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { isRequestId } from "../../streams/requestId.ts"
import { readmeBlocks } from "../support/readme.ts"
import { Deployment } from "../support/services/Deployment.ts"
import { KafkaCluster } from "../support/services/KafkaCluster.ts"
import { Registry } from "../support/services/Registry.ts"
import { projectRoot } from "../support/shared.ts"

const run = promisify(execFile)
const cache = join(projectRoot, ".cache")
const venv = join(cache, "outside-python")
const [prepare = "", askPython = "", askNode = "", kcat = ""] = readmeBlocks("On Kafka", "sh")

let cluster: KafkaCluster
let registry: Registry
let deployment: Deployment
/** Below the project, so that Node finds the packages. */
let folder = ""

/** A block, by a shell that stops at the first failure. */
const shell = async (block: string): Promise<string> => {
  const env = {
    ...process.env,
    PATH: `${join(venv, "bin")}:${join(process.execPath, "..")}:${process.env["PATH"]}`,
    KAFKA: cluster.bootstrap,
    REGISTRY: registry.url,
    NODE_NO_WARNINGS: "1",
  }
  const options = { cwd: folder, env, timeout: 120_000 }
  return (await run("bash", ["-euo", "pipefail", "-c", block], options)).stdout
}

beforeAll(async () => {
  mkdirSync(cache, { recursive: true })
  folder = mkdtempSync(join(cache, "readme-"))
  ;[cluster, registry] = await Promise.all([KafkaCluster.start({ nodes: 1 }), Registry.start()])
  deployment = new Deployment({ kafka: cluster.bootstrap, registry: registry.url })
  deployment.prepare()
  await deployment.start("worker", ["--engine", "scripted"])
  await deployment.start("gateway")
  await run("python3", ["-m", "venv", venv])
  await shell(prepare)
  writeFileSync(join(folder, "ask.py"), readmeBlocks("On Kafka", "python")[0] ?? "")
  writeFileSync(join(folder, "ask.mjs"), readmeBlocks("On Kafka", "js")[0] ?? "")
}, 240_000)

afterAll(async () => {
  await deployment.stop()
  await Promise.all([cluster.stop(), registry.stop()])
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

describe("README's examples on Kafka", { timeout: 120_000 }, () => {
  let told = ""

  it("ask and are answered in Python", async () => {
    told = await shell(askPython)
    assert.isAbove(told.trim().split(/\s+/).length, 5, told)
  })

  it("ask and are answered in JavaScript, alike", async () => {
    assert.strictEqual(await shell(askNode), told)
  })

  it("look at the topics, ask twice and ask nonsense with kcat", async () => {
    const said = await shell(kcat)
    assert.match(said, /^\d{13} partition \d offset 0: \d+ bytes$/m)
    const sent = readFileSync(join(folder, "request.bin"))
    const client = SchemaRegistryClient.newClient({ baseURLs: [registry.url] })
    const request = await new AvroDeserializer(client, SerdeType.VALUE, {
      subjectNameStrategyType: SubjectNameStrategyType.TOPIC,
    }).deserialize("sluice.requests.tales-11m.1.default", sent)
    assert.isTrue(isRequestId(request.requestId))
    assert.strictEqual(request.tenant, "kafkajs")
    assert.include(said, "damaged_record")
    assert.include(said, "this is no request")
  })
})
