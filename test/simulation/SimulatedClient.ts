// A client that wants its answer whole: it asks, reads bytes until the stream breaks or it is made
// to leave, at any byte, and comes back with its last cursor to whichever gateway is there. What it
// sees goes into its history as it comes.
import type { HistoryLine } from "../support/checker/history.ts"
import type { RequestDraft } from "../../src/enqueue/Enqueue.ts"
import type { Connection, Head } from "./Connection.ts"
import type { Machine } from "./Machine.ts"
import type { Draw } from "./Simulation.ts"

/** A connection that says nothing for so long is given up. */
const patienceMs = 1_500
const backOffMs = 60
/** New requests in the place of one that was refused or whose acceptance nobody confirmed. */
const asksMax = 12

export interface ClientPlan {
  readonly draft: RequestDraft
  /** Of ids for further asks. */
  readonly newRequestId: () => string
  /** How often it leaves in the middle. */
  readonly cuts: number
  readonly isSlow: boolean
  /** After how many events it cancels; null: never. */
  readonly cancelsAfter: number | null
  /** It leaves for good after so many events; null: it stays. */
  readonly leavesAfter: number | null
}

export interface ClientWorld {
  readonly draw: Draw
  readonly machine: Machine
  /** Opens a connection to some gateway that is there; null: there is none. */
  readonly ask: (draft: RequestDraft, client: SimulatedClient) => Connection | null
  readonly resume: (id: string, cursor: number, client: SimulatedClient) => Connection | null
  readonly cancel: (id: string, client: SimulatedClient) => Connection | null
  readonly note: (line: HistoryLine) => void
  readonly count: (what: "resumed" | "cutMidBlock" | "askedAgain" | "gone" | "left") => void
  /** The log lacks a part of the request, and says so. */
  readonly lacks: (requestId: string, client: SimulatedClient) => void
  /** A head that no client must ever see. */
  readonly fault: (message: string) => void
}

export class SimulatedClient {
  readonly name: string
  readonly plan: ClientPlan
  readonly #world: ClientWorld
  requestId: string | null = null
  cursor = 0
  /** Its answer is whole, or nobody will ever give it to it. */
  isDone = false
  #draft: RequestDraft
  #asks = 0
  #cutsLeft: number
  #connections = 0
  #connection: Connection | null = null
  #text = Buffer.alloc(0)
  #received = 0
  #cutAt = Infinity
  #events = 0
  #sawDone = false
  #hasCancelled = false
  #lastByteAt = 0

  constructor(name: string, plan: ClientPlan, world: ClientWorld) {
    this.name = name
    this.plan = plan
    this.#world = world
    this.#draft = plan.draft
    this.#cutsLeft = plan.cuts
  }

  /** Asks for the first time. */
  start(): void {
    this.#connect()
  }

  /** Follows a request that another client made. */
  watch(requestId: string, cursor: number): void {
    this.requestId = requestId
    this.cursor = cursor
    this.#connect()
  }

  #connect(): void {
    if (this.isDone) return
    const { requestId } = this
    this.#text = Buffer.alloc(0)
    this.#received = 0
    this.#sawDone = false
    this.#cutAt = Infinity
    if (requestId === null && this.#asks++ >= asksMax) {
      this.isDone = true
      return
    }
    const connection =
      requestId === null
        ? this.#world.ask(this.#draft, this)
        : this.#world.resume(requestId, this.cursor, this)
    this.#connection = connection
    if (connection === null) return this.#again()
    this.#connections++
    this.#lastByteAt = this.#world.machine.now()
    this.#look(connection)
  }

  #look(connection: Connection): void {
    this.#world.machine.after(patienceMs / 2, () => {
      if (this.#connection !== connection) return
      if (this.#world.machine.now() - this.#lastByteAt < patienceMs) return this.#look(connection)
      connection.close()
      this.#broken()
    })
  }

  readonly onHead = (head: Head): void => {
    const { draw, note, machine } = this.#world
    const at = machine.now()
    this.#lastByteAt = at
    const client = this.name
    const connection = this.#connections
    if (head.kind === "stream") {
      const isFirst = this.requestId === null
      if (isFirst) note({ kind: "accepted", client, requestId: head.requestId, at })
      else this.#world.count("resumed")
      this.requestId ??= head.requestId
      const { requestId, cursor } = this
      note({ kind: "opened", client, requestId, connection, cursor, at })
      if (this.#cutsLeft > 0) this.#cutAt = 1 + draw.below(700)
      return
    }
    const requestId = this.requestId
    if (head.kind === "complete" && requestId !== null) {
      note({ kind: "opened", client, requestId, connection, cursor: this.cursor, at })
      note({ kind: "ended", client, requestId, connection, at })
      this.isDone = true
    }
    if (head.kind === "refused") this.#refused(head, connection, at)
  }

  #refused(head: Extract<Head, { kind: "refused" }>, connection: number, at: number): void {
    const { requestId, name: client } = this
    if (requestId === null) return
    if (head.reason === "gone") {
      this.#world.note({ kind: "gone", client, requestId, connection, at })
      this.#world.count("gone")
      this.isDone = true
    }
    if (head.reason === "corrupt") {
      this.#world.lacks(requestId, this)
      this.isDone = true
    }
    if (head.reason === "unknownRequest" || head.reason === "cursorAhead") {
      this.#world.fault(`${client}: ${head.reason} of ${requestId} at cursor ${this.cursor}`)
      this.isDone = true
    }
  }

  readonly onBytes = (bytes: Uint8Array): void => {
    this.#lastByteAt = this.#world.machine.now()
    const wanted = bytes.subarray(0, Math.max(0, this.#cutAt - this.#received))
    this.#received += bytes.length
    this.#text = Buffer.concat([this.#text, wanted])
    for (;;) {
      const end = this.#text.indexOf("\n\n")
      if (end < 0) break
      const block = this.#text.subarray(0, end).toString()
      this.#text = this.#text.subarray(end + 2)
      this.#take(block)
    }
    if (this.#received >= this.#cutAt) this.#cut()
  }

  readonly onEnd = (isClean: boolean): void => {
    const { requestId, name: client } = this
    const at = this.#world.machine.now()
    if (isClean && this.#sawDone && requestId !== null) {
      this.#world.note({ kind: "ended", client, requestId, connection: this.#connections, at })
      this.isDone = true
    }
    this.#broken()
  }

  #take(block: string): void {
    const { requestId, name: client } = this
    let cursor: number | null = null
    let data: string | null = null
    for (const line of block.split("\n")) {
      if (line.startsWith("id: ")) cursor = Number(line.slice(4))
      if (line.startsWith("data: ")) data = line.slice(6)
    }
    // Without an id it is no event of the request: an error, or a heartbeat.
    if (cursor === null || data === null || requestId === null) return
    const at = this.#world.machine.now()
    this.#world.note({
      kind: "event",
      client,
      requestId,
      connection: this.#connections,
      cursor,
      data,
      at,
    })
    this.cursor = cursor
    this.#events++
    if (data.includes("[DONE]")) this.#sawDone = true
    this.#decide(requestId)
  }

  /** What it does of itself after an event. */
  #decide(requestId: string): void {
    const { cancelsAfter, leavesAfter } = this.plan
    if (cancelsAfter !== null && this.#events >= cancelsAfter && !this.#hasCancelled) {
      this.#hasCancelled = true
      this.#world.cancel(requestId, this)
    }
    if (leavesAfter !== null && this.#events >= leavesAfter && !this.isDone) {
      this.isDone = true
      this.#world.count("left")
      this.#connection?.close()
      this.#connection = null
    }
  }

  #cut(): void {
    if (this.#connection === null) return
    this.#cutsLeft--
    if (this.#text.length > 0) this.#world.count("cutMidBlock")
    this.#connection.close()
    this.#broken()
  }

  #broken(): void {
    this.#connection = null
    if (!this.isDone) this.#again()
  }

  #again(): void {
    const { draw, machine } = this.#world
    machine.after(draw.between(1, backOffMs), () => {
      if (this.#connection !== null || this.isDone) return
      if (this.requestId === null && this.#asks > 0) {
        this.#world.count("askedAgain")
        // Under a key it may be the same request; its id is a proposal.
        this.#draft = { ...this.#draft, requestId: this.plan.newRequestId() }
      }
      this.#connect()
    })
  }
}
