// A relay over the log in memory, scripts of what writers may append, and a client that keeps what
// it is given and checks that it follows on.
import { Effect, Layer } from "effect"
import type { TokenEntry } from "../../schemas/types.ts"
import { Config } from "../../src/config/Config.ts"
import { layerRelayWithin, type RelayBounds } from "../../src/relay/layer.ts"
import { layerMetrics } from "../../src/telemetry/registry.ts"
import type { RelayError, Subscriber, Subscription } from "../../src/relay/Relay.ts"
import { apply, emptyState, type RequestEvent } from "../../streams/fold/requestState.ts"
import { Log, type LogError } from "../../streams/Log.ts"
import { layerMemory } from "../../streams/memory/MemoryLog.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { modelTopics, sharedTopics, type TopicOptions } from "../../streams/topics.ts"

export const topicOptions: TopicOptions = {
  requestPartitions: 2,
  tokenPartitions: 2,
  retentionMs: 3_600_000,
  retentionBytes: 1e9,
}

/** Reads of history so short that a pass takes many. */
export const tightBounds: RelayBounds = { subscribersMax: 10_000, readBytes: 200 }

export const relayLayers = (options: TopicOptions = topicOptions, bounds = tightBounds) => {
  const topics = Layer.effectDiscard(
    Effect.flatMap(Log, (log) =>
      log.createTopics([...sharedTopics(options), ...modelTopics("tales-11m", "1", options)]),
    ),
  )
  const log = layerMemory
  const logs = Layer.mergeAll(TokenLog.layer, RequestLog.layer).pipe(
    Layer.provide(topics),
    Layer.provideMerge(log),
  )
  return layerRelayWithin(bounds).pipe(
    Layer.provideMerge(logs),
    Layer.provideMerge(Config.layerTest()),
    Layer.provide(layerMetrics),
  )
}

export interface Written {
  readonly writer: string
  readonly entry: TokenEntry
}

/** What the fold makes of entries in their order: what every client must see. */
export const foldOf = (written: ReadonlyArray<Written>): ReadonlyArray<RequestEvent> => {
  const state = emptyState()
  return written.flatMap(({ writer, entry }) => [...apply(state, writer, entry)])
}

export class Client implements Subscriber {
  readonly events: Array<RequestEvent> = []
  readonly errors: Array<RelayError | LogError> = []
  subscription: Subscription | null = null
  cursor: number
  /** Asked after each delivery. */
  takesMore: () => boolean = () => true

  constructor(cursor = 0) {
    this.cursor = cursor
  }

  onEvents(events: ReadonlyArray<RequestEvent>): boolean {
    for (const event of events) {
      if (event.number !== this.cursor + 1) {
        throw new Error(`event ${event.number} came after ${this.cursor}`)
      }
      this.cursor = event.number
      this.events.push(event)
    }
    return this.takesMore()
  }

  onError(error: RelayError | LogError): void {
    this.errors.push(error)
  }

  get isOver(): boolean {
    return this.events.at(-1)?.kind === "terminal"
  }
}

type Random = (limit: number) => number

const texts = ["a", " bc", "é", "", "\n"]

/** Claims, tokens, losers, duplicates and an end, as several workers might append them. */
export const randomEntries = (requestId: string, random: Random): Array<Written> => {
  const written: Array<Written> = []
  const workers = ["w1", "w2", "w3"]
  let attempt = 0
  let claimant = ""
  const held = [0, 0]
  const write = (writer: string, entry: TokenEntry) => written.push({ writer, entry })
  const tokens = (writer: string, of: number, choice: number, position: number) => {
    const count = random(4) + 1
    const ids = Array.from({ length: count }, (_, i) => (position + i) * 7 + choice)
    const text = ids.map((id) => texts[id % texts.length] ?? "")
    const common = { logprobs: null, finish: null, stopReason: null }
    write(writer, {
      kind: "TokensGenerated",
      requestId,
      attempt: of,
      choice,
      position,
      ids,
      texts: text,
      ...common,
    })
    return position + count
  }
  for (let step = 0; step < 30; step++) {
    const worker = workers[random(3)] ?? ""
    const choice = random(2)
    const at = held[choice] ?? 0
    const dice = random(10)
    if (attempt === 0 || dice === 0) {
      const claimed = attempt + random(2)
      write(worker, { kind: "AttemptClaimed", requestId, attempt: claimed, worker })
      if (claimed === attempt + 1) [attempt, claimant] = [claimed, worker]
    } else if (dice === 1) tokens(worker === claimant ? "w0" : worker, attempt, choice, at)
    else if (dice === 2) tokens(claimant, attempt - 1, choice, at)
    else if (dice === 3) {
      held[choice] = Math.max(at, tokens(claimant, attempt, choice, Math.max(0, at - random(4))))
    } else held[choice] = tokens(claimant, attempt, choice, at)
  }
  const end = { kind: "GenerationFinished", requestId, attempt, promptTokens: 3 } as const
  write(random(2) === 0 ? claimant : "w0", { ...end, cachedTokens: 0 })
  write("gateway", { kind: "Cancelled", requestId, by: "test" })
  write(claimant, { ...end, cachedTokens: 1 })
  return written
}
