// Members of a group keep watch over each other, because Kafka notices a death only when a session
// has run out. Each member listens on a port, says it in its advert, and stays connected to a few
// others. A connection that ends, and a port that then refuses, mean that the process is gone: its
// kernel says so. Silence means nothing here; that is for Kafka's session to judge.
import { connect, createServer, type Server, type Socket } from "node:net"

/** Where a member can be seen. */
export interface Post {
  readonly host: string
  readonly port: number
  /** What it says to whoever connects: another process may have the port one day. */
  readonly name: string
}

export interface Neighbour {
  readonly memberId: string
  readonly post: Post
}

/** Of watchers of this member; each member is watched by far fewer. */
const watchersMax = 256
const nameBytesMax = 256
const dialAgainMs = 200
const keepAliveMs = 10_000

export class Vigil {
  readonly #name: string
  readonly #onGone: (memberId: string) => void
  #server: Server | null = null
  #post: Post | null = null
  readonly #watchers = new Set<Socket>()
  #watches = new Map<string, Watch>()
  #closed = false

  constructor(name: string, onGone: (memberId: string) => void) {
    this.#name = name
    this.#onGone = onGone
  }

  /** Listens there, once; null where it cannot: then nobody watches over this member. */
  async postAt(host: string | null): Promise<Post | null> {
    if (host === null || this.#closed || this.#server !== null) return this.#post
    const server = createServer((socket) => this.#greet(socket))
    this.#server = server
    const port = await new Promise<number | null>((resolve) => {
      server.once("error", () => resolve(null))
      server.listen({ host, port: 0 }, () => {
        const address = server.address()
        resolve(typeof address === "object" && address !== null ? address.port : null)
      })
    })
    server.unref()
    server.on("error", () => undefined)
    if (port !== null) this.#post = { host, port, name: this.#name }
    return this.#post
  }

  /** All that it watches over from now on. */
  watch(neighbours: ReadonlyArray<Neighbour>): void {
    const before = this.#watches
    this.#watches = new Map()
    for (const { memberId, post } of this.#closed ? [] : neighbours) {
      const known = before.get(memberId)
      before.delete(memberId)
      const kept = known?.isOver === false ? known : null
      const gone = () => this.#onGone(memberId)
      this.#watches.set(memberId, kept ?? new Watch(post, gone))
    }
    for (const watch of before.values()) watch.close()
  }

  close(): void {
    this.#closed = true
    this.watch([])
    this.#server?.close()
    for (const socket of this.#watchers) socket.destroy()
  }

  #greet(socket: Socket): void {
    if (this.#watchers.size >= watchersMax) {
      socket.destroy()
      return
    }
    this.#watchers.add(socket)
    socket.unref()
    socket.resume()
    socket.on("error", () => undefined)
    socket.on("close", () => this.#watchers.delete(socket))
    socket.write(`${this.#name}\n`)
  }
}

/** Over one neighbour, for as long as it was seen and is not known to be gone. */
class Watch {
  readonly #post: Post
  readonly #gone: () => void
  #socket: Socket | null = null
  #timer: NodeJS.Timeout | null = null
  #wasSeen = false
  #isOver = false

  constructor(post: Post, gone: () => void) {
    this.#post = post
    this.#gone = gone
    this.#dial()
  }

  /** It watches no more: its neighbour is gone, or was never to be seen from here. */
  get isOver(): boolean {
    return this.#isOver
  }

  close(): void {
    this.#isOver = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#socket?.destroy()
  }

  #dial(): void {
    const { host, port, name } = this.#post
    const socket = connect({ host, port })
    this.#socket = socket
    socket.unref()
    socket.setKeepAlive(true, keepAliveMs)
    let said = ""
    let isGreeted = false
    let isRefused = false
    socket.setEncoding("utf8")
    socket.on("data", (text: string) => {
      if (isGreeted) return
      said += text
      isGreeted = said === `${name}\n`
      if (isGreeted) this.#wasSeen = true
      // Somebody else has the port now.
      else if (said.endsWith("\n") || said.length > nameBytesMax) {
        isRefused = true
        socket.destroy()
      }
    })
    socket.on("error", (error) => {
      isRefused ||= "code" in error && error.code === "ECONNREFUSED"
    })
    socket.on("close", () => this.#ended(isGreeted, isRefused))
  }

  #ended(isGreeted: boolean, isRefused: boolean): void {
    if (this.#isOver) return
    if (isRefused || !this.#wasSeen) {
      this.#isOver = true
      if (this.#wasSeen) this.#gone()
    } else if (isGreeted) this.#dial()
    else {
      this.#timer = setTimeout(() => this.#dial(), dialAgainMs)
      this.#timer.unref()
    }
  }
}
