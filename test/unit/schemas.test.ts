// What travels in the logs: generated files fit the .avsc, published versions are never edited and
// stay readable, newer ones can read all older ones.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import avro from "avsc"
import { Predicate } from "effect"
import { codecs } from "../../schemas/codec.ts"
import { generateAvro, generateTypes } from "../../schemas/generate.ts"
import { publishedSchemas, type SchemaName } from "../../schemas/ids.ts"
import { projectRoot } from "../support/shared.ts"

const goldenFolder = join(projectRoot, "test/golden/schemas")

/** A published version: its schema, and values with the bytes that they had. Never edited. */
interface Golden {
  readonly id: number
  readonly avro: unknown
  readonly values: ReadonlyArray<{ readonly hex: string; readonly value: unknown }>
}

const goldenOf = (name: string, version: number): Golden =>
  JSON.parse(readFileSync(join(goldenFolder, `${name}.v${version}.json`), "utf8"))

const codecOf = {
  RequestAccepted: codecs.requestAccepted,
  RequestCancelled: codecs.requestCancelled,
  TokenFrame: codecs.tokenFrame,
  DeadLetter: codecs.deadLetter,
  WorkerStatus: codecs.workerStatus,
  KeyClaimed: codecs.keyClaimed,
  ControlEvent: codecs.controlEvent,
} satisfies Record<SchemaName, unknown>

/** As golden files hold values: bytes in hex, plain objects. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, part: unknown) => {
      const isBytes = typeof part === "object" && part !== null && "type" in part && "data" in part
      return isBytes && Array.isArray(part.data)
        ? { hex: Buffer.from(part.data).toString("hex") }
        : part
    }),
  )

/** A value less the fields that its writer's version did not have. */
const knownThen = (value: unknown, then: unknown): unknown => {
  if (Array.isArray(value) && Array.isArray(then)) {
    return value.map((item: unknown, i) => knownThen(item, then[i]))
  }
  if (!Predicate.isObject(value) || !Predicate.isObject(then)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => Object.hasOwn(then, key))
      .map(([key, part]) => [key, knownThen(part, Reflect.get(then, key))]),
  )
}

describe("generated files", () => {
  const read = (file: string) => readFileSync(join(projectRoot, "schemas", file), "utf8")

  it("types.ts is what the schemas say", () =>
    assert.strictEqual(read("types.ts"), generateTypes()))

  it("avro.ts is what the schemas say", () => assert.strictEqual(read("avro.ts"), generateAvro()))
})

describe("published versions", () => {
  it("have ids and numbers of their own", () => {
    assert.strictEqual(new Set(publishedSchemas.map(({ id }) => id)).size, publishedSchemas.length)
    const numbers = publishedSchemas.map(({ name, version }) => `${name}.v${version}.json`)
    assert.deepStrictEqual(numbers.toSorted(), readdirSync(goldenFolder).toSorted())
  })

  for (const { name, version, id, avro: text } of publishedSchemas) {
    const label = `${name} v${version}`

    it(`${label} is as it was published`, () => {
      const golden = goldenOf(name, version)
      assert.strictEqual(golden.id, id)
      assert.deepStrictEqual(JSON.parse(text), golden.avro)
    })

    it(`${label}: bytes of then are read as the values they were`, () => {
      const { values } = goldenOf(name, version)
      assert.isAbove(values.length, 0)
      for (const { hex, value } of values) {
        const decoded = plain(codecOf[name].decode(Buffer.from(hex, "hex")))
        assert.deepStrictEqual(knownThen(decoded, value), value)
      }
    })

    it(`${label} can be read by every later version (BACKWARD_TRANSITIVE)`, () => {
      const writer = avro.Type.forSchema(JSON.parse(text))
      for (const later of publishedSchemas) {
        if (later.name !== name || later.version < version) continue
        avro.Type.forSchema(JSON.parse(later.avro)).createResolver(writer)
      }
    })
  }

  it("every schema file is published", () => {
    for (const file of readdirSync(join(projectRoot, "schemas"))) {
      const name = /^(\w+)\.avsc$/.exec(file)?.[1]
      if (name === undefined) continue
      assert.isTrue(existsSync(join(goldenFolder, `${name}.v1.json`)), file)
    }
  })

  it("the rule can fail: a new field without a default cannot read older records", () => {
    const older = avro.Type.forSchema({ type: "record", name: "R", fields: [] })
    const newer = avro.Type.forSchema({
      type: "record",
      name: "R",
      fields: [{ name: "added", type: "int" }],
    })
    assert.throws(() => newer.createResolver(older))
  })
})
