// The wire format: what is written is what a general Avro codec writes, and whatever bytes come
// from outside, decoding them gives a value or a typed error, soon.
import { assert, describe, it } from "@effect/vitest"
import avro from "avsc"
import { avroText } from "../../schemas/avro.ts"
import { CodecError, codecs } from "../../schemas/codec.ts"
import type { TokenFrame } from "../../schemas/types.ts"
import { exampleFrame, exampleRequest, randomFrame, seeded } from "../support/events.ts"

const reference = avro.Type.forSchema(JSON.parse(avroText.TokenFrame))

/** As avsc wants union branches of records. */
const wrapped = (frame: TokenFrame) => ({
  ...frame,
  entries: frame.entries.map(({ kind, ...fields }) => ({ [`sluice.${kind}`]: fields })),
})

const header = (id: number) => Buffer.from([0, 0, 0, 0, id])

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const reasonOf = (result: unknown) => (result instanceof CodecError ? result.reason : "a value")

describe("TokenFrame", () => {
  it("has the bytes that avsc writes, for any frame, and is read back from them", () => {
    for (let seed = 1; seed <= 2000; seed++) {
      const frame = randomFrame(seed)
      const bytes = Buffer.from(codecs.tokenFrame.encode(frame))
      // A lone surrogate is no character: it is written as U+FFFD, where avsc writes no UTF-8.
      const wellFormed = JSON.parse(JSON.stringify(frame).replaceAll("\\ud800", "\ufffd"))
      const expected = Buffer.concat([header(3), reference.toBuffer(wrapped(wellFormed))])
      assert.isTrue(bytes.equals(expected), `seed ${seed}`)
      assert.deepStrictEqual(plain(codecs.tokenFrame.decode(bytes)), wellFormed, `seed ${seed}`)
    }
  })

  it("is read from arrays in several blocks and with byte counts, as others write them", () => {
    const text = (value: string) =>
      Buffer.concat([Buffer.from([value.length * 2]), Buffer.from(value)])
    const cancelled = Buffer.concat([Buffer.from([10]), text("r"), text("me")])
    const counted = Buffer.from([1, cancelled.length * 2])
    const start = [header(3), text("w"), Buffer.from([2])]
    const blocks = [Buffer.from([2]), cancelled, counted, cancelled, Buffer.from([0])]
    const frame = codecs.tokenFrame.decode(Buffer.concat([...start, ...blocks]))
    const entry = { kind: "Cancelled", requestId: "r", by: "me" }
    assert.deepStrictEqual(plain(frame), { writer: "w", writtenAt: 1, entries: [entry, entry] })
  })
})

describe("every record", () => {
  it("comes back as it went", () => {
    const decoded = codecs.requestAccepted.decode(codecs.requestAccepted.encode(exampleRequest))
    assert.deepStrictEqual(plain(decoded), plain(exampleRequest))
  })

  it("keeps whole numbers exact up to +-(2^53 - 1)", () => {
    for (let distance = 1; distance < 4000; distance++) {
      for (const seed of [2 ** 53 - distance, -(2 ** 53 - distance)]) {
        const request = { ...exampleRequest, sampling: { ...exampleRequest.sampling, seed } }
        const bytes = codecs.requestAccepted.encode(request)
        const decoded = codecs.requestAccepted.decode(bytes)
        assert.strictEqual("sampling" in decoded ? decoded.sampling.seed : null, seed)
        const frame = { ...exampleFrame, writtenAt: seed, entries: [] }
        const read = codecs.tokenFrame.decode(codecs.tokenFrame.encode(frame))
        assert.strictEqual("writtenAt" in read ? read.writtenAt : null, seed)
      }
    }
  })

  it("encodes into bytes of its own: a later encode does not change them", () => {
    const first = codecs.tokenFrame.encode(exampleFrame)
    const copy = Buffer.from(first)
    codecs.tokenFrame.encode(randomFrame(7))
    assert.isTrue(copy.equals(first))
  })

  it("is refused by name without the wire format or with an unknown schema", () => {
    const { tokenFrame, requestAccepted } = codecs
    const frame = Buffer.from(tokenFrame.encode(exampleFrame))
    assert.strictEqual(reasonOf(tokenFrame.decode(new Uint8Array(0))), "notFramed")
    assert.strictEqual(reasonOf(tokenFrame.decode(Buffer.from("{}"))), "notFramed")
    assert.strictEqual(reasonOf(tokenFrame.decode(Buffer.from([0, 0, 0]))), "notFramed")
    assert.strictEqual(reasonOf(requestAccepted.decode(frame)), "unknownSchema")
    frame.writeInt32BE(99, 1)
    assert.strictEqual(reasonOf(tokenFrame.decode(frame)), "unknownSchema")
  })
})

const all = [
  { name: "TokenFrame", codec: codecs.tokenFrame, bytes: codecs.tokenFrame.encode(exampleFrame) },
  {
    name: "RequestAccepted",
    codec: codecs.requestAccepted,
    bytes: codecs.requestAccepted.encode(exampleRequest),
  },
]

describe("hostile bytes", () => {
  for (const { name, codec, bytes } of all) {
    it(`${name}: every cut is damaged, and so is anything appended`, () => {
      for (let length = 5; length < bytes.length; length++) {
        assert.strictEqual(
          reasonOf(codec.decode(bytes.subarray(0, length))),
          "damaged",
          `${length}`,
        )
      }
      assert.strictEqual(
        reasonOf(codec.decode(Buffer.concat([bytes, Buffer.from([0])]))),
        "damaged",
      )
    })

    it(`${name}: changed bytes give a value or an error, never a throw, and soon`, () => {
      const draw = seeded(11)
      const started = performance.now()
      for (let round = 0; round < 20_000; round++) {
        const changed = Buffer.from(bytes)
        for (let i = 0; i <= draw.below(4); i++) {
          changed[5 + draw.below(changed.length - 5)] = draw.below(256)
        }
        codec.decode(changed)
      }
      assert.isBelow(performance.now() - started, 15_000)
    })
  }

  it("a count of 2^50 items allocates nothing", () => {
    const count = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03])
    const frame = Buffer.concat([header(3), Buffer.from([0, 0]), count, Buffer.alloc(100)])
    assert.strictEqual(reasonOf(codecs.tokenFrame.decode(frame)), "damaged")
    const request = Buffer.concat([header(1), count, Buffer.alloc(100)])
    assert.strictEqual(reasonOf(codecs.requestAccepted.decode(request)), "damaged")
  })

  it("numbers above 2^53 are damaged, not rounded", () => {
    const long = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
    const frame = Buffer.concat([header(3), Buffer.from([0]), long, Buffer.from([0])])
    assert.strictEqual(reasonOf(codecs.tokenFrame.decode(frame)), "damaged")
  })
})
