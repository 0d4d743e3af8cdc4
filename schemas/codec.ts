// Records to bytes and back: Avro in the Confluent wire format, 0x00, the writer's schema id as
// int32 big endian, the payload. Decoding is by the writer's id, whatever published version that
// is. Bytes from outside give a CodecError, never a throw and never more memory than they paid for.
// Encoding what is no value of its type is a programmer's error and throws.
import avro from "avsc"
import { Result, Schema } from "effect"
import { ByteReader, ByteWriter } from "./bytes.ts"
import { compileCheck } from "./check.ts"
import { type PublishedSchema, publishedSchemas, type SchemaName } from "./ids.ts"
import { readTokenFrame, writeTokenFrame } from "./tokenFrame.ts"
import type {
  ControlChange,
  ControlEvent,
  DeadLetter,
  KeyClaimed,
  RequestAccepted,
  RequestCancelled,
  TokenFrame,
  WorkerStatus,
} from "./types.ts"

export class CodecError extends Schema.TaggedError<CodecError>()("CodecError", {
  /** notFramed: not the wire format. unknownSchema: the id is of no known version of this type. */
  reason: Schema.Literals(["notFramed", "unknownSchema", "damaged"]),
  message: Schema.String,
}) {}

export interface Codec<A> {
  /** The bytes are the caller's own. */
  readonly encode: (value: A) => Uint8Array
  readonly decode: (bytes: Uint8Array) => A | CodecError
}

export interface Codecs {
  readonly requestAccepted: Codec<RequestAccepted>
  readonly requestCancelled: Codec<RequestCancelled>
  readonly tokenFrame: Codec<TokenFrame>
  readonly deadLetter: Codec<DeadLetter>
  readonly workerStatus: Codec<WorkerStatus>
  readonly keyClaimed: Codec<KeyClaimed>
  readonly controlEvent: Codec<ControlEvent>
}

const headerBytes = 5

const damaged = (name: SchemaName, message: string) =>
  new CodecError({ reason: "damaged", message: `A ${name} is damaged: ${message}.` })

/** avsc's own long is inexact from 2^52 on, half the range of what a seed may be. */
const exactLong = avro.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => Number(bytes.readBigInt64LE()),
  toBuffer: (value: number) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(value))
    return bytes
  },
  fromJSON: Number,
  toJSON: Number,
  isValid: Number.isSafeInteger,
  compare: (a: number, b: number) => Math.sign(a - b),
})

const typeOf = (text: string): avro.Type =>
  avro.Type.forSchema(JSON.parse(text), {
    omitRecordMethods: true,
    registry: { long: exactLong },
  })

type ReadPayload<A> = (bytes: Uint8Array) => A | CodecError

/** The reader of a record, by the schema id in its header. */
const readFramed =
  <A>(name: SchemaName, readers: ReadonlyMap<number, ReadPayload<A>>) =>
  (bytes: Uint8Array): A | CodecError => {
    if (bytes.length < headerBytes || bytes[0] !== 0) {
      return new CodecError({
        reason: "notFramed",
        message: `A ${name} should begin with 0x00 and a schema id.`,
      })
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const id = view.getInt32(1)
    const read = readers.get(id)
    if (read !== undefined) return read(bytes)
    return new CodecError({
      reason: "unknownSchema",
      message: `Schema id ${id} is no known version of ${name}.`,
    })
  }

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** A record codec by avsc, for everything that is not on the hot path. */
const makeCodec = <A>(name: SchemaName, schemas: ReadonlyArray<PublishedSchema>): Codec<A> => {
  const versions = schemas.filter((schema) => schema.name === name)
  const current = versions.reduce((a, b) => (b.version > a.version ? b : a))
  const type = typeOf(current.avro)
  const reader = (version: PublishedSchema): ReadPayload<A> => {
    const check = compileCheck(version.avro)
    const resolver = type.createResolver(typeOf(version.avro))
    return (bytes) => {
      const input = new ByteReader(bytes, headerBytes)
      check(input)
      if (!input.ended()) return damaged(name, "its bytes do not follow its schema")
      const payload = bufferOf(bytes).subarray(headerBytes)
      const result = Result.try(() => type.fromBuffer(payload, resolver))
      return Result.isSuccess(result) ? result.success : damaged(name, String(result.failure))
    }
  }
  return {
    encode: (value) => {
      const payload = type.toBuffer(value)
      const bytes = Buffer.allocUnsafe(headerBytes + payload.length)
      bytes[0] = 0
      bytes.writeInt32BE(current.id, 1)
      payload.copy(bytes, headerBytes)
      return bytes
    },
    decode: readFramed(name, new Map(versions.map((version) => [version.id, reader(version)]))),
  }
}

const makeTokenFrameCodec = (schemas: ReadonlyArray<PublishedSchema>): Codec<TokenFrame> => {
  const versions = schemas.filter(({ name, version }) => name === "TokenFrame" && version === 1)
  const out = new ByteWriter()
  const read: ReadPayload<TokenFrame> = (bytes) => {
    const input = new ByteReader(bytes, headerBytes)
    const frame = readTokenFrame(input)
    return input.ended() ? frame : damaged("TokenFrame", "its bytes do not follow its schema")
  }
  const id = versions[0]?.id ?? 0
  return {
    encode: (frame) => {
      out.reset()
      out.byte(0)
      out.uint32(id)
      writeTokenFrame(out, frame)
      return out.bytes()
    },
    decode: readFramed("TokenFrame", new Map(versions.map((version) => [version.id, read]))),
  }
}

/** As avsc holds a union of records: under the record's full name. */
type WrappedEvent = Omit<ControlEvent, "change"> & { readonly change: Record<string, object> }

const wrapped = ({ change: { kind, ...fields }, ...event }: ControlEvent): WrappedEvent => ({
  ...event,
  change: { [`sluice.${kind}`]: fields },
})

const makeControlEventCodec = (schemas: ReadonlyArray<PublishedSchema>): Codec<ControlEvent> => {
  const inner = makeCodec<WrappedEvent>("ControlEvent", schemas)
  return {
    encode: (event) => inner.encode(wrapped(event)),
    decode: (bytes) => {
      const event = inner.decode(bytes)
      if (event instanceof CodecError) return event
      const [name = "", fields = {}] = Object.entries(event.change)[0] ?? []
      // The schema has no other records than those of ControlChange.
      const change = { kind: name.replace("sluice.", ""), ...fields } as ControlChange
      return { ...event, change }
    },
  }
}

const makeCodecs = (schemas: ReadonlyArray<PublishedSchema>): Codecs => {
  const deadLetter = makeCodec<DeadLetter>("DeadLetter", schemas)
  return {
    requestAccepted: makeCodec("RequestAccepted", schemas),
    requestCancelled: makeCodec("RequestCancelled", schemas),
    tokenFrame: makeTokenFrameCodec(schemas),
    deadLetter: {
      encode: (letter) => deadLetter.encode({ ...letter, request: bufferOf(letter.request) }),
      decode: deadLetter.decode,
    },
    workerStatus: makeCodec("WorkerStatus", schemas),
    keyClaimed: makeCodec("KeyClaimed", schemas),
    controlEvent: makeControlEventCodec(schemas),
  }
}

/** With the ids of the embedded log. */
export const codecs: Codecs = makeCodecs(publishedSchemas)
