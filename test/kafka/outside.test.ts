// Others at the same topics: an unmodified kafkajs producer with the registry's own serializer
// asks, and the registry's own deserializer reads the answer. What is no request, or one that
// cannot be run, gets a terminal entry or a dead letter, and stops nobody behind it.
import { setTimeout as sleep } from "node:timers/promises"
import {
  AvroDeserializer,
  AvroSerializer,
  Compatibility,
  SchemaRegistryClient,
  SerdeType,
  SubjectNameStrategyType,
} from "@confluentinc/schemaregistry"
import type { Kafka } from "kafkajs"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { newRequestId } from "../../streams/requestId.ts"
import { Deployment, runCli } from "../support/services/Deployment.ts"
import { KafkaCluster } from "../support/services/KafkaCluster.ts"
import { outsider } from "../support/services/outsider.ts"
import { Registry } from "../support/services/Registry.ts"
import { plainAnswer, plainSampling } from "../support/requestParts.ts"

const topic = "sluice.requests.tales-11m.1.default"

let cluster: KafkaCluster
let registry: Registry
let deployment: Deployment
let url = ""

interface Entry {
  readonly kind: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Everything that was said, by request id; and all dead letters. */
const entries = new Map<string, Array<Entry>>()
const letters: Array<Readonly<Record<string, unknown>>> = []
const closing: Array<() => Promise<void>> = []

const serdes = () => {
  const client = SchemaRegistryClient.newClient({ baseURLs: [registry.url] })
  const subjectNameStrategyType = SubjectNameStrategyType.TOPIC
  return {
    serializer: new AvroSerializer(client, SerdeType.VALUE, {
      useLatestVersion: true,
      autoRegisterSchemas: false,
      subjectNameStrategyType,
    }),
    deserializer: new AvroDeserializer(client, SerdeType.VALUE, { subjectNameStrategyType }),
  }
}

const readAll = async (kafka: Kafka) => {
  const { deserializer } = serdes()
  const consumer = kafka.consumer({ groupId: "outsider", maxWaitTimeInMs: 100 })
  await consumer.connect()
  const topics = ["sluice.tokens", "sluice.dead-letters"]
  await consumer.subscribe({ topics, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ topic: from, message }) => {
      const value = await deserializer.deserialize(from, message.value!)
      if (from === "sluice.dead-letters") letters.push(value)
      else {
        for (const one of value.entries) {
          const [[kind = "", fields]] = Object.entries<Record<string, unknown>>(one) as [
            [string, Record<string, unknown>],
          ]
          const id = String(fields["requestId"])
          entries.set(id, [
            ...(entries.get(id) ?? []),
            { kind: kind.replace("sluice.", ""), fields },
          ])
        }
      }
    },
  })
  closing.push(() => consumer.disconnect())
}

beforeAll(async () => {
  ;[cluster, registry] = await Promise.all([KafkaCluster.start({ nodes: 1 }), Registry.start()])
  deployment = new Deployment({ kafka: cluster.bootstrap, registry: registry.url })
  deployment.prepare()
  await deployment.start("worker", ["--engine", "scripted"])
  url = (await deployment.start("gateway")).url
  const kafka = outsider(cluster.bootstrap)
  await readAll(kafka)
  const producer = kafka.producer()
  await producer.connect()
  closing.push(() => producer.disconnect())
  const { serializer } = serdes()
  send = async (request) => {
    const value = Buffer.isBuffer(request) ? request : await serializer.serialize(topic, request)
    await producer.send({ topic, messages: [{ key: "outside", value, partition: 3 }] })
  }
}, 240_000)

let send: (request: object) => Promise<void>

afterAll(async () => {
  for (const close of closing) await close()
  await deployment.stop()
  await Promise.all([cluster.stop(), registry.stop()])
}, 60_000)

const request = (changes: object = {}) => ({
  requestId: newRequestId(Date.now()),
  acceptedAt: Date.now(),
  deadline: Date.now() + 60_000,
  model: "tales-11m",
  version: "1",
  tier: "default",
  tenant: "outside",
  dialect: "completions",
  promptCacheKey: null,
  grammar: null,
  tools: null,
  textFormat: null,
  prompts: [[1, 2, 3]],
  n: 1,
  sampling: { ...plainSampling, maxTokens: 4, seed: 1, ignoreEos: true },
  answer: { ...plainAnswer, stream: false },
  traceparent: null,
  ...changes,
})

const terminals = ["GenerationFinished", "GenerationFailed", "Expired", "DeadLettered", "Cancelled"]

const ended = async (id: string): Promise<ReadonlyArray<Entry>> => {
  for (let waited = 0; waited < 20_000; waited += 20) {
    const found = entries.get(id) ?? []
    if (found.some(({ kind }) => terminals.includes(kind))) return found
    await sleep(20)
  }
  throw new Error(`${id} did not end: ${JSON.stringify(entries.get(id))}`)
}

const kindsOf = (all: ReadonlyArray<Entry>) => all.map(({ kind }) => kind)

describe("an outside producer", () => {
  it("asks and is answered, and the gateway knows the request", async () => {
    const asked = request()
    await send(asked)
    const said = await ended(asked.requestId)
    const tokens = said.filter(({ kind }) => kind === "TokensGenerated")
    assert.strictEqual(tokens.flatMap(({ fields }) => fields["ids"]).length, 4)
    assert.strictEqual(kindsOf(said).at(-1), "GenerationFinished")
    const view = await fetch(`${url}/v1/requests/${asked.requestId}`)
    assert.strictEqual(view.status, 200)
  })

  it("that sends no request at all finds it among the dead letters", async () => {
    const before = letters.length
    const nonsense = [Buffer.from("not Avro"), Buffer.from([0, 0, 0, 0x7f, 0xff, 1, 2, 3])]
    for (const bytes of nonsense) await send(bytes)
    for (let waited = 0; letters.length < before + 2 && waited < 20_000; waited += 20) {
      await sleep(20)
    }
    assert.lengthOf(letters.slice(before), 2)
    for (const letter of letters.slice(before)) assert.isAbove(String(letter["message"]).length, 10)
    // As they were sent, also an id that no registry gave.
    assert.deepStrictEqual(
      letters.slice(before).map(({ request: bytes }) => bytes),
      nonsense,
    )
  })

  it("is told of a deadline that is over", async () => {
    const asked = request({ deadline: Date.now() - 1000 })
    await send(asked)
    assert.include(kindsOf(await ended(asked.requestId)), "Expired")
  })

  it("is told of a model that is not served there", async () => {
    const asked = request({ model: "another" })
    await send(asked)
    const said = await ended(asked.requestId)
    assert.notInclude(kindsOf(said), "TokensGenerated")
    const letter = letters.find(({ requestId }) => requestId === asked.requestId)
    const bytes = letter?.["request"]
    assert.instanceOf(bytes, Buffer)
    const kept = await serdes().deserializer.deserialize(topic, bytes)
    assert.deepInclude(kept, { requestId: asked.requestId, model: "another" })
  })

  it("that sends a request twice has it run once", async () => {
    const asked = request()
    await send(asked)
    await send(asked)
    await ended(asked.requestId)
    await sleep(500)
    const said = entries.get(asked.requestId) ?? []
    const tokens = said.filter(({ kind }) => kind === "TokensGenerated")
    assert.strictEqual(tokens.flatMap(({ fields }) => fields["ids"]).length, 4)
    assert.lengthOf(
      kindsOf(said).filter((kind) => terminals.includes(kind)),
      1,
    )
  })

  it("is answered behind all of these in the same partition", async () => {
    const asked = request()
    await send(asked)
    assert.strictEqual(kindsOf(await ended(asked.requestId)).at(-1), "GenerationFinished")
  })
})

describe("the schema registry", () => {
  it("keeps BACKWARD_TRANSITIVE; registering again changes nothing", async () => {
    const client = SchemaRegistryClient.newClient({ baseURLs: [registry.url] })
    const subjects = await client.getAllSubjects()
    assert.include(subjects, "sluice.tokens-value")
    for (const subject of subjects) {
      assert.strictEqual(String(await client.getCompatibility(subject)), "BACKWARD_TRANSITIVE")
    }
    const first = runCli(["schemas", "check", ...deployment.servers])
    assert.strictEqual(first.code, 0)
    assert.notInclude(first.out, "not registered")
    const again = runCli(["schemas", "register", ...deployment.servers])
    assert.strictEqual(again.code, 0)
    assert.strictEqual(again.out, first.out)
  })

  it("refuses a schema that cannot read what is there, and says why", async () => {
    const client = SchemaRegistryClient.newClient({ baseURLs: [registry.url] })
    const subject = "sluice.requests.other.1.default-value"
    const schema = JSON.stringify({
      type: "record",
      name: "RequestAccepted",
      namespace: "sluice",
      fields: [{ name: "requestId", type: "long" }],
    })
    await client.register(subject, { schemaType: "AVRO", schema }, false)
    await client.updateConfig(subject, { compatibility: Compatibility.BACKWARD_TRANSITIVE })
    const other = ["--served-model-name", "other", ...deployment.servers]
    for (const action of ["check", "register"]) {
      const { code, err } = runCli(["schemas", action, ...other])
      assert.strictEqual(code, 1, action)
      assert.match(err, /sluice: .*(cannot read|incompatible)/s)
    }
  })

  it("may go away: what runs goes on, and what starts says that it is away", async () => {
    await registry.kill()
    const body = { model: "tales-11m", prompt: "Once", max_tokens: 3, ignore_eos: true }
    const answer = await fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    })
    assert.strictEqual(answer.status, 200)
    const { code, err } = runCli(["gateway", "--port", "0", ...deployment.servers])
    assert.strictEqual(code, 1)
    assert.match(err, /the schema registry at http:\S+ is not reached/)
  })
})
