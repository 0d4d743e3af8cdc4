// What Sluice takes of kafkajs: its connection, and its encoders and decoders of Kafka's protocol.
// Its producer, consumer and cluster are left alone: overlapping sends of an idempotent producer
// lose records, a rebalance mixes generations, and one partition without a leader hides all others
// (ops/decisions/0009 has the list). kafkajs has no types for these parts: here they are, for the
// fields that are used.
import { createRequire } from "node:module"
import type { ApiName, Call, Definition, Requests, Versions } from "./requests.ts"

interface Logger {
  readonly namespace: () => Logger
  readonly debug: () => void
  readonly info: () => void
  readonly warn: () => void
  readonly error: () => void
}

export interface RequestQueue {
  readonly pending: ReadonlyArray<unknown>
  readonly throttledUntil: number
  scheduleCheckPendingRequests: () => void
}

export interface Connection {
  readonly requestQueue: RequestQueue
  readonly socket?: {
    readonly destroy: () => void
    readonly setNoDelay: (on: boolean) => void
    readonly localAddress?: string
  }
  readonly connect: () => Promise<unknown>
  readonly disconnect: () => Promise<unknown>
  readonly isConnected: () => boolean
  readonly setVersions: (versions: Versions) => void
  readonly rejectRequests: (error: Error) => void
  readonly send: <Data>(call: Call<Data>) => Promise<Data>
}

interface ConnectionOptions {
  readonly host: string
  readonly port: number
  readonly clientId: string
  readonly logger: Logger
  readonly socketFactory: unknown
  readonly requestTimeout: number
  readonly connectionTimeout: number
}

interface Protocol {
  readonly requests: Requests
  readonly lookup: (
    versions: Versions,
  ) => <A, D>(apiKey: number, definition: Definition<A, D>) => (args: A) => Call<D>
}

interface AssignerProtocol {
  readonly MemberMetadata: {
    readonly encode: (of: {
      readonly version: number
      readonly topics: ReadonlyArray<string>
      readonly userData: Buffer
    }) => Buffer
    readonly decode: (
      bytes: Buffer,
    ) => { readonly topics: ReadonlyArray<string>; readonly userData: Buffer | null } | null
  }
  readonly MemberAssignment: {
    readonly encode: (of: {
      readonly version: number
      readonly assignment: Readonly<Record<string, ReadonlyArray<number>>>
      readonly userData: Buffer
    }) => Buffer
    readonly decode: (bytes: Buffer) => {
      readonly assignment: Readonly<Record<string, ReadonlyArray<number>>>
      readonly userData: Buffer | null
    } | null
  }
}

interface Codec {
  readonly compress: (of: { readonly buffer: Buffer }) => Promise<Buffer>
  readonly decompress: (bytes: Buffer) => Promise<Buffer>
}

const load = createRequire(import.meta.url)

export const Connection: new (options: ConnectionOptions) => Connection = load(
  "kafkajs/src/network/connection.js",
)
export const socketFactory: () => unknown = load("kafkajs/src/network/socketFactory.js")
export const protocol: Protocol = load("kafkajs/src/protocol/requests/index.js")
export const apiKeys: Readonly<Record<ApiName, number>> = load(
  "kafkajs/src/protocol/requests/apiKeys.js",
)
export const { MemberMetadata, MemberAssignment }: AssignerProtocol = load(
  "kafkajs/src/consumer/assignerProtocol.js",
)
export const compression: {
  readonly Types: { readonly None: number; readonly ZSTD: number }
  readonly Codecs: Record<number, () => Codec>
} = load("kafkajs/src/protocol/message/compression/index.js")
