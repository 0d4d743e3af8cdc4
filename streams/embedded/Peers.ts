// Wakes the readers of other processes on the same data folder: each process has a Unix socket
// under wake/, connects to those it finds there, and writes a byte when something was committed.
// The byte says "look", not what: where it cannot be written, one that was written before is still
// unread and will do. A missed wake-up is made good by a slow look of one's own. Nothing here can
// fail the log.
import { createHash } from "node:crypto"
import { mkdirSync, readdirSync, rmSync } from "node:fs"
import { createConnection, createServer, type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { Effect, Result, type Scope } from "effect"

/** The kernel's bound on socket paths is 108 bytes on Linux and 104 elsewhere. */
const pathBytesMax = 100
const peersMax = 256

const wakeFolder = (logFolder: string, name: string): string => {
  const beside = join(resolve(logFolder), "wake")
  if (Buffer.byteLength(join(beside, name)) <= pathBytesMax) return beside
  const hash = createHash("sha256").update(resolve(logFolder)).digest("hex").slice(0, 16)
  return join(tmpdir(), `sluice-${hash}`)
}

export class Peers {
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  readonly #onWake: () => void
  /** A peer came or went: group members may have gone with it. */
  readonly #onChange: () => void

  constructor(onWake: () => void, onChange: () => void) {
    this.#onWake = onWake
    this.#onChange = onChange
    this.#server = createServer((socket) => this.#join(socket))
    this.#server.on("error", () => undefined)
  }

  /** Tells every other process that there is something new. */
  wake(): void {
    for (const socket of this.#sockets) {
      if (socket.writableLength === 0 && socket.writable) socket.write(wakeByte)
    }
  }

  /** Calls back once every process that was there knows of this one, or is known to be gone. */
  open(logFolder: string, opened: () => void): void {
    const name = `${process.pid}.${process.hrtime.bigint().toString(36)}`
    const folder = wakeFolder(logFolder, name)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#server.once("error", opened)
    this.#server.listen(join(folder, name), () => {
      const others = readdirSync(folder).filter((other) => other !== name)
      let left = Math.min(others.length, peersMax)
      if (left === 0) opened()
      for (const other of others.slice(0, peersMax)) {
        this.#connect(join(folder, other), () => {
          if (--left === 0) opened()
        })
      }
    })
    this.#server.unref()
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  /** A socket that nobody listens on was left by a process that died. */
  #connect(path: string, settled: () => void): void {
    const socket = createConnection(path)
    socket.once("error", (error) => {
      if ("code" in error && error.code === "ECONNREFUSED") {
        Result.try(() => rmSync(path, { force: true }))
      }
      settled()
    })
    socket.once("connect", () => {
      this.#join(socket)
      settled()
    })
  }

  #join(socket: Socket): void {
    if (this.#sockets.size >= peersMax) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.unref()
    socket.setNoDelay(true)
    socket.on("data", () => this.#onWake())
    socket.on("error", () => undefined)
    socket.on("close", () => {
      this.#sockets.delete(socket)
      this.#onChange()
    })
    this.#onChange()
  }
}

const wakeByte = Buffer.from([1])

/** A peer that is stopped does not answer; nobody waits for it. */
const openTimeout = "1 second"

export const openPeers = (
  logFolder: string,
  peers: Peers,
): Effect.Effect<void, never, Scope.Scope> => {
  const open = Effect.callback<void>((resume) => {
    const opened = () => resume(Effect.void)
    if (Result.isFailure(Result.try(() => peers.open(logFolder, opened)))) opened()
  })
  return Effect.andThen(
    Effect.addFinalizer(() => Effect.sync(() => peers.close())),
    Effect.asVoid(Effect.timeoutOption(open, openTimeout)),
  )
}
