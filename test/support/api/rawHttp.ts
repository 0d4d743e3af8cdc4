// One TCP connection under the test's hand: sends exactly these bytes, collects what comes back.
import { connect, type Socket } from "node:net"

export class RawConnection {
  readonly socket: Socket
  received = ""
  closed = false

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    this.socket.setNoDelay(true)
    this.socket.on("data", (chunk) => (this.received += chunk.toString("latin1")))
    this.socket.on("close", () => (this.closed = true))
    // The server stopped sending: so do we.
    this.socket.on("end", () => this.socket.end())
    this.socket.on("error", () => (this.closed = true))
  }

  send(bytes: string | Uint8Array): this {
    this.socket.write(bytes)
    return this
  }

  /** The status of the first answer, as soon as its head is there; null: closed without one. */
  async status(withinMs = 5000): Promise<number | null> {
    for (let waited = 0; waited < withinMs; waited += 5) {
      const status = /^HTTP\/1\.1 (\d{3})/.exec(this.received)?.[1]
      if (status !== undefined) return Number(status)
      if (this.closed) return null
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    throw new Error(`no answer within ${withinMs} ms`)
  }

  async end(withinMs = 5000): Promise<string> {
    for (let waited = 0; waited < withinMs; waited += 5) {
      if (this.closed) return this.received
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    throw new Error(`the server kept the connection open for ${withinMs} ms`)
  }

  destroy(): void {
    this.socket.destroy()
  }
}

export const postHead = (
  path: string,
  headers: Readonly<Record<string, string | number>>,
): string =>
  [
    `POST ${path} HTTP/1.1`,
    "host: localhost",
    ...Object.entries({ "content-type": "application/json", ...headers }).map(
      ([name, value]) => `${name}: ${value}`,
    ),
    "",
    "",
  ].join("\r\n")
