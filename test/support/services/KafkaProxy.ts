// Stands between clients and a broker, understands the frames of Kafka's protocol, and does to
// single requests and answers what networks and dying brokers do: loses them, cuts the connection,
// falls silent, or gives another error code. It also counts what it saw.
import { connect, createServer, type Server, type Socket } from "node:net"

/** One request on its way. */
export interface Asked {
  readonly apiKey: number
  /** The connection it came by, counted from 1. */
  readonly connection: number
  /** The frame after its length: header and body. */
  readonly bytes: Buffer
}

/** cut: it is gone, and so is the connection; bytes: a request is answered with these instead. */
export type Verdict = "pass" | "cut" | Buffer

export const apis = {
  produce: 0,
  fetch: 1,
  metadata: 3,
  offsetCommit: 8,
  joinGroup: 11,
  heartbeat: 12,
} as const

/** Splits a stream into frames of a length and so many bytes. */
const framing = (onFrame: (frame: Buffer) => void) => {
  let rest = Buffer.alloc(0)
  return (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0)
      onFrame(rest.subarray(4, end))
      rest = rest.subarray(end)
    }
  }
}

const framed = (frame: Buffer): Buffer => {
  const head = Buffer.alloc(4)
  head.writeInt32BE(frame.length)
  return Buffer.concat([head, frame])
}

export class KafkaProxy {
  readonly port: number
  /** Where the broker listens. */
  target = 0
  onRequest: (asked: Asked) => Verdict = () => "pass"
  /** The answer begins with the correlation id. */
  onAnswer: (asked: Asked, answer: Buffer) => Verdict = () => "pass"
  /** Every answer is on its way for so long. */
  delayMs = 0
  connections = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Those that neither ask nor answer any more, and are not closed either. */
  readonly #silent = new Set<Socket>()

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
    server.on("connection", (socket) => this.#accept(socket))
  }

  static listen(): Promise<KafkaProxy> {
    return new Promise((resolve) => {
      const server = createServer()
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resolve(new KafkaProxy(server, port))
      })
    })
  }

  /** Everything passes again; what was counted is forgotten. */
  calm(): void {
    this.onRequest = () => "pass"
    this.onAnswer = () => "pass"
    this.delayMs = 0
    this.connections = 0
  }

  /** Connections that are open now are never answered again; new ones are. */
  fallSilent(): void {
    for (const socket of this.#sockets) this.#silent.add(socket)
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #accept(client: Socket): void {
    const connection = ++this.connections
    const broker = connect({ host: "127.0.0.1", port: this.target, noDelay: true })
    client.setNoDelay(true)
    const end = () => {
      client.destroy()
      broker.destroy()
      this.#sockets.delete(client)
      this.#silent.delete(client)
    }
    this.#sockets.add(client)
    for (const socket of [client, broker]) socket.on("error", end).on("close", end)
    const waiting = new Map<number, Asked>()
    const obey = (verdict: Verdict, to: Socket, frame: Buffer) => {
      if (verdict === "cut") end()
      else if (this.#silent.has(client)) return
      else if (verdict === "pass") to.write(framed(frame))
      else client.write(framed(verdict))
    }
    const onRequest = framing((bytes) => {
      const asked = { apiKey: bytes.readInt16BE(0), connection, bytes }
      waiting.set(bytes.readInt32BE(4), asked)
      obey(this.onRequest(asked), broker, bytes)
    })
    const onAnswer = framing((bytes) => {
      const asked = waiting.get(bytes.readInt32BE(0))
      waiting.delete(bytes.readInt32BE(0))
      const verdict = asked === undefined ? "pass" : this.onAnswer(asked, bytes)
      if (this.delayMs === 0) obey(verdict, client, bytes)
      else setTimeout(obey, this.delayMs, verdict, client, Buffer.from(bytes))
    })
    client.on("data", onRequest)
    broker.on("data", onAnswer)
  }
}

const afterHeader = (bytes: Buffer): number => 10 + Math.max(0, bytes.readInt16BE(8))

export interface ProduceFacts {
  readonly topics: number
  readonly partitions: number
  readonly producerId: number
  readonly sequence: number
  readonly records: number
}

/** What a Produce request (version 7) holds; of several partitions, the first one's batch. */
export const produceFacts = ({ bytes }: Asked): ProduceFacts => {
  // transactional id, acks, timeout
  let at = afterHeader(bytes) + 2 + Math.max(0, bytes.readInt16BE(afterHeader(bytes))) + 2 + 4
  const topics = bytes.readInt32BE(at)
  at += 4 + 2 + bytes.readInt16BE(at + 4)
  const partitions = bytes.readInt32BE(at)
  // partition, size of the records
  const batch = at + 4 + 4 + 4
  return {
    topics,
    partitions,
    producerId: Number(bytes.readBigInt64BE(batch + 43)),
    sequence: bytes.readInt32BE(batch + 53),
    records: bytes.readInt32BE(batch + 57),
  }
}

/** The answer to a Produce of one partition, with an error code, for `asked` of the same one. */
export const failedProduce = (answer: Buffer, asked: Asked, code: number): Buffer => {
  const failed = Buffer.from(answer)
  failed.writeInt32BE(asked.bytes.readInt32BE(4), 0)
  const name = 4 + 4
  failed.writeInt16BE(code, name + 2 + failed.readInt16BE(name) + 4 + 4)
  return failed
}
