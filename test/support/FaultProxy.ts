// A TCP proxy as a bad network: bytes late, few, withheld while nobody hangs up, or the connection
// reset half way through what was sent. A fault holds for all connections, those made while it
// lasts too. It knows nothing of what the bytes mean.
import { connect, createServer, type Server, type Socket } from "node:net"

/** A direction of a connection: what came in leaves in its order, each chunk when it is due. */
class Lane {
  readonly #to: Socket
  readonly #proxy: FaultProxy
  readonly #chunks: Array<{ readonly chunk: Buffer; readonly dueAt: number }> = []
  #timer: NodeJS.Timeout | null = null
  #ending = false

  constructor(from: Socket, to: Socket, proxy: FaultProxy) {
    this.#to = to
    this.#proxy = proxy
    from.on("data", (chunk: Buffer) => {
      this.#chunks.push({ chunk, dueAt: performance.now() + proxy.delayMs })
      this.flush()
    })
    from.on("end", () => {
      this.#ending = true
      this.flush()
    })
  }

  /** Half of what is on its way arrives. */
  halve(): void {
    const { chunk } = this.#chunks[0] ?? {}
    if (chunk !== undefined) this.#to.write(chunk.subarray(0, chunk.length >> 1))
    this.#chunks.length = 0
  }

  flush(): void {
    if (this.#timer !== null || this.#proxy.isSilent) return
    for (let first = this.#chunks[0]; first !== undefined; first = this.#chunks[0]) {
      const waitMs = first.dueAt - performance.now()
      if (waitMs > 0) return this.#later(waitMs)
      this.#chunks.shift()
      const { bytesPerSecond } = this.#proxy
      this.#to.write(first.chunk)
      if (bytesPerSecond > 0) return this.#later((first.chunk.length / bytesPerSecond) * 1000)
    }
    if (this.#ending) this.#to.end()
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.flush()
    }, ms)
  }
}

interface Connection {
  readonly lanes: ReadonlyArray<Lane>
  readonly sockets: ReadonlyArray<Socket>
}

export class FaultProxy {
  readonly port: number
  /** Where it leads; may change, and then new connections lead elsewhere. */
  target = 0
  /** Each chunk is on its way for so long. */
  delayMs = 0
  /** 0: as fast as it goes. */
  bytesPerSecond = 0
  #isSilent = false
  readonly #server: Server
  readonly #connections = new Set<Connection>()

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
    server.on("connection", (socket) => this.#accept(socket))
  }

  static listen(): Promise<FaultProxy> {
    return new Promise((resolve) => {
      const server = createServer({ allowHalfOpen: true })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resolve(new FaultProxy(server, port))
      })
    })
  }

  get isSilent(): boolean {
    return this.#isSilent
  }

  /** Nothing passes, nothing is closed; what was withheld comes when it is over. */
  set isSilent(isSilent: boolean) {
    this.#isSilent = isSilent
    for (const { lanes } of this.#connections) for (const lane of lanes) lane.flush()
  }

  /** Every connection is reset, in the midst of what is on its way. */
  reset(): void {
    for (const { lanes, sockets } of this.#connections) {
      for (const lane of lanes) lane.halve()
      for (const socket of sockets) socket.resetAndDestroy()
    }
  }

  /** No fault any more. */
  calm(): void {
    this.delayMs = 0
    this.bytesPerSecond = 0
    this.isSilent = false
  }

  close(): void {
    this.#server.close()
    for (const { sockets } of this.#connections) for (const socket of sockets) socket.destroy()
  }

  #accept(client: Socket): void {
    const target = connect({
      host: "127.0.0.1",
      port: this.target,
      noDelay: true,
      allowHalfOpen: true,
    })
    client.setNoDelay(true)
    const sockets = [client, target]
    const connection = {
      lanes: [new Lane(client, target, this), new Lane(target, client, this)],
      sockets,
    }
    this.#connections.add(connection)
    const end = () => {
      this.#connections.delete(connection)
      for (const socket of sockets) socket.destroy()
    }
    for (const socket of sockets) socket.on("error", end).on("close", end)
  }
}
