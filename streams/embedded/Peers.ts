// Wakes the readers of other processes on the same data folder: each process has a Unix socket
// under wake/, connects to those it finds there, and says which partitions have new records. Where
// a socket has no room it is told to look everywhere once it has; a missed wake-up is made good by
// a slow look of one's own. Who wants to hear of a topic's records before they are committed says
// so, and is told where its socket has room. Nothing here can fail the log.
import { createHash } from "node:crypto"
import { mkdirSync, readdirSync, rmSync } from "node:fs"
import { createConnection, createServer, type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { Effect, Result, type Scope } from "effect"
import type { AppendRecord, TopicPartition } from "../Log.ts"
import {
  earlyWord,
  lookWord,
  newWord,
  type PeerWord,
  PeerWordReader,
  wantWord,
} from "./peerWords.ts"

/** The kernel's bound on socket paths is 108 bytes on Linux and 104 elsewhere. */
const pathBytesMax = 100
const peersMax = 256

const wakeFolder = (logFolder: string, name: string): string => {
  const beside = join(resolve(logFolder), "wake")
  if (Buffer.byteLength(join(beside, name)) <= pathBytesMax) return beside
  const hash = createHash("sha256").update(resolve(logFolder)).digest("hex").slice(0, 16)
  return join(tmpdir(), `sluice-${hash}`)
}

export interface PeersOptions {
  /** Another process has committed something, somewhere. */
  readonly onLook: () => void
  /** Another process has committed records to these. */
  readonly onNew: (partitions: ReadonlyArray<TopicPartition>) => void
  /** A peer came or went: group members may have gone with it. */
  readonly onChange: () => void
  /** Another process is about to commit these; of topics that were asked for. */
  readonly onEarly: (partition: TopicPartition, records: ReadonlyArray<AppendRecord>) => void
}

/** A peer may ask for so many topics. */
const wantedMax = 64

interface Peer {
  /** The topics that it wants to hear of early. */
  readonly wanted: Set<string>
  /** A word for it found no room. */
  hasMissed: boolean
}

const hasRoom = (socket: Socket): boolean => socket.writableLength === 0 && socket.writable

export class Peers {
  readonly #sockets = new Map<Socket, Peer>()
  readonly #wanted = new Set<string>()
  readonly #server: Server
  readonly #options: PeersOptions

  constructor(options: PeersOptions) {
    this.#options = options
    this.#server = createServer((socket) => this.#join(socket))
    this.#server.on("error", () => undefined)
  }

  /** Tells every other process that something changed. */
  look(): void {
    this.#tellAll(lookWord)
  }

  /** Tells every other process that these have new records. */
  wake(partitions: ReadonlyArray<TopicPartition>): void {
    if (this.#sockets.size > 0) this.#tellAll(newWord(partitions))
  }

  #tellAll(word: Buffer): void {
    for (const [socket, peer] of this.#sockets) {
      if (hasRoom(socket)) this.#tell(socket, peer, word)
      else peer.hasMissed = true
    }
  }

  /** Once it is written there may be room for what had none. */
  #tell(socket: Socket, peer: Peer, word: Buffer): void {
    socket.write(word, () => {
      if (!peer.hasMissed || !hasRoom(socket)) return
      peer.hasMissed = false
      this.#tell(socket, peer, lookWord)
    })
  }

  /** Asks all, and those who come, to say what is on its way into the topic. */
  want(topic: string): void {
    if (this.#wanted.has(topic)) return
    this.#wanted.add(topic)
    for (const [socket, peer] of this.#sockets) this.#tell(socket, peer, wantWord(topic))
  }

  announce(partition: TopicPartition, records: ReadonlyArray<AppendRecord>): void {
    let word: Buffer | null = null
    for (const [socket, peer] of this.#sockets) {
      if (!peer.wanted.has(partition.topic) || !hasRoom(socket)) continue
      word ??= earlyWord(partition, records)
      if (word === null) return
      this.#tell(socket, peer, word)
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
    for (const socket of this.#sockets.keys()) socket.destroy()
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
    const peer: Peer = { wanted: new Set(), hasMissed: false }
    this.#sockets.set(socket, peer)
    socket.unref()
    socket.setNoDelay(true)
    const reader = new PeerWordReader()
    socket.on("data", (bytes: Buffer) => {
      const words = reader.take(bytes)
      if (words === null) socket.destroy()
      else this.#hear(words, peer)
    })
    socket.on("error", () => undefined)
    socket.on("close", () => {
      this.#sockets.delete(socket)
      this.#options.onChange()
    })
    for (const topic of this.#wanted) this.#tell(socket, peer, wantWord(topic))
    this.#options.onChange()
  }

  #hear(words: ReadonlyArray<PeerWord>, { wanted }: Peer): void {
    let looks = false
    for (const word of words) {
      if (word.kind === "look") looks = true
      else if (word.kind === "new") this.#options.onNew(word.partitions)
      else if (word.kind === "early") this.#options.onEarly(word.partition, word.records)
      else if (wanted.size < wantedMax) wanted.add(word.topic)
    }
    if (looks) this.#options.onLook()
  }
}

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
