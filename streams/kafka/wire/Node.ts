// One broker as one connection sees it: opened when first needed, dropped on any trouble, opened
// again. Kafka answers a connection's requests in order, so whoever waits long (a long poll, a
// join) needs one of its own.
import { zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { BrokerError, messageOf } from "./errors.ts"
import {
  apiKeys,
  compression,
  Connection,
  protocol,
  type RequestQueue,
  socketFactory,
} from "./kafkajs.ts"
import type { ApiName, Args, Call, Data, Definition, Versions } from "./requests.ts"

export interface Address {
  readonly host: string
  readonly port: number
}

export interface NodeOptions {
  readonly clientId: string
  readonly connectTimeoutMs: number
  /** A broker that does not answer for so long is taken for hung, and its connection dropped. */
  readonly requestTimeoutMs: number
  readonly onHung: (address: Address) => void
}

compression.Codecs[compression.Types.ZSTD] = () => ({
  compress: async ({ buffer }) => zstdCompressSync(buffer),
  decompress: async (bytes) => zstdDecompressSync(bytes),
})

const silent = {
  namespace: () => silent,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/**
 * kafkajs looks after every answer whether a throttled request may go now, and then sets a timer to
 * look again, 1 ms later, for ever: 4 % of a core per connection. Without a request that waits
 * there is nothing to look for.
 */
const calm = (queue: RequestQueue): void => {
  const schedule = queue.scheduleCheckPendingRequests.bind(queue)
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length > 0) schedule()
  }
}

/** A cluster's brokers speak the same versions: one asks, the others know. */
export interface SharedVersions {
  known: Versions | null
}

const connectionErrors = /^(KafkaJS(Connection|RequestTimeout)|BrokerError)/

export class Node {
  readonly address: Address
  readonly #options: NodeOptions
  readonly #shared: SharedVersions
  #connection: Connection | null = null
  #opening: Promise<Connection> | null = null

  constructor(address: Address, options: NodeOptions, shared: SharedVersions) {
    this.address = address
    this.#options = options
    this.#shared = shared
  }

  async call<Name extends ApiName>(name: Name, args: Args<Name>): Promise<Data<Name>> {
    const connection = await this.#open()
    const definition: Definition<Args<Name>, Data<Name>> = definitionOf(name)
    const call = protocol.lookup(this.#shared.known ?? {})(apiKeys[name], definition)(args)
    return this.#send(connection, call)
  }

  /** With a decoder of one's own. */
  async callRaw<Name extends ApiName, A>(
    name: Name,
    args: Args<Name>,
    decode: (raw: Buffer) => A,
  ): Promise<A> {
    const connection = await this.#open()
    const definition: Definition<Args<Name>, Data<Name>> = definitionOf(name)
    const call = protocol.lookup(this.#shared.known ?? {})(apiKeys[name], definition)(args)
    const response = { decode: async (raw: Buffer) => decode(raw), parse: async (data: A) => data }
    return this.#send(connection, { ...call, response })
  }

  /** This machine's address as the broker sees it; null while there is no connection. */
  get localHost(): string | null {
    return this.#connection?.socket?.localAddress ?? null
  }

  /** What is on its way fails. The next call opens it again. */
  close(): void {
    if (this.#connection !== null) this.#drop(this.#connection, "it was closed")
    this.#opening = null
  }

  async #open(): Promise<Connection> {
    if (this.#connection?.isConnected() === true) return this.#connection
    this.#opening ??= this.#connect().finally(() => (this.#opening = null))
    return this.#opening
  }

  async #connect(): Promise<Connection> {
    const { clientId, connectTimeoutMs, requestTimeoutMs } = this.#options
    const connection = new Connection({
      ...this.address,
      clientId,
      logger: silent,
      socketFactory: socketFactory(),
      connectionTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
    })
    calm(connection.requestQueue)
    try {
      await connection.connect()
    } catch (error) {
      connection.socket?.destroy()
      throw new BrokerError(null, `${this.#where} is not reached: ${messageOf(error)}`)
    }
    connection.socket?.setNoDelay(true)
    this.#connection = connection
    if (this.#shared.known === null) {
      const call = protocol.requests.ApiVersions.protocol({ version: 0 })()
      const { apiVersions } = await this.#send(connection, call)
      this.#shared.known = Object.fromEntries(apiVersions.map((one) => [one.apiKey, one]))
    }
    connection.setVersions(this.#shared.known)
    return connection
  }

  get #where(): string {
    return `${this.address.host}:${this.address.port}`
  }

  /**
   * Error codes are data here: kafkajs would throw the first of an answer and forget the others. A
   * request that timed out takes the connection with it: kafkajs would keep asking a hung broker
   * for as long as it hangs.
   */
  async #send<D>(connection: Connection, call: Call<D>): Promise<D> {
    const { decode } = call.response
    try {
      return await connection.send({
        ...call,
        logResponseError: false,
        response: { decode, parse: async (data) => data },
      })
    } catch (error) {
      this.#drop(connection, messageOf(error))
      const name = error instanceof Error ? error.name : ""
      if (name === "KafkaJSRequestTimeoutError") this.#options.onHung(this.address)
      // Anything else is a fault of ours, or bytes that are not Kafka's: no reason to try again.
      if (!connectionErrors.test(name)) throw error
      throw new BrokerError(null, `${this.#where}: ${messageOf(error)}`)
    }
  }

  #drop(connection: Connection, why: string): void {
    if (this.#connection === connection) this.#connection = null
    connection.rejectRequests(new BrokerError(null, why))
    void connection.disconnect().catch(() => undefined)
    connection.socket?.destroy()
  }
}

const definitionOf = <Name extends ApiName>(name: Name): Definition<Args<Name>, Data<Name>> => {
  const definitions: {
    readonly [N in ApiName]: Definition<Args<N>, Data<N>>
  } = protocol.requests
  return definitions[name]
}
