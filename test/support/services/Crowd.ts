// Many clients that stream at once and come again whenever they are cut off, wherever they are
// told to: at several gateways, and for the rest at several relays. What each was told is kept.
import { setTimeout as sleep } from "node:timers/promises"
import type { HistoryLine } from "../checker/history.ts"
import { ResumingClient, type Whereabouts } from "../ResumingClient.ts"

export interface CrowdOptions {
  /** Client i asks at the i-th of these, round and round. */
  readonly askAt: ReadonlyArray<Whereabouts>
  /** Where it asks for the rest; where it asked, unless given. */
  readonly resumeAt?: ReadonlyArray<Whereabouts>
  readonly streams: number
  readonly tokens: number
  readonly withinMs: number
  /** Every so often one client's connection is broken on purpose; never unless given. */
  readonly breakEveryMs?: number
}

/** Who is broken off again and again faster than it comes back gets nowhere. */
const breaksMax = 3

/** What a client was told from the first event to the last. */
export interface Told {
  readonly requestId: string
  readonly text: string
  readonly finishes: number
  readonly usage: number
  readonly breaks: number
  readonly history: ReadonlyArray<HistoryLine>
}

const bodyOf = (index: number, tokens: number) => ({
  model: "tales-11m",
  prompt: `Once upon a time ${index}`,
  max_tokens: tokens,
  stream: true,
  stream_options: { include_usage: true },
  ignore_eos: true,
  temperature: 0,
})

const toldTo = (client: ResumingClient): Told => {
  const chunks = client.events.map((event) => JSON.parse(event))
  const failed = chunks.find((chunk) => chunk.error)
  if (failed) throw new Error(`${client.requestId}: ${JSON.stringify(failed)}`)
  const choices = chunks.flatMap((chunk) => chunk.choices)
  return {
    requestId: client.requestId ?? "",
    text: choices.map((choice) => choice.text).join(""),
    finishes: choices.filter((one) => one.finish_reason).length,
    usage: chunks.find((chunk) => chunk.usage)?.usage.completion_tokens,
    breaks: client.breaks,
    history: client.history,
  }
}

/** What must be the same however often clients were cut off. */
export const answers = (told: ReadonlyArray<Told>) =>
  told.map(({ text, finishes, usage }) => ({ text, finishes, usage }))

/** Resolves when all are served whole. */
export const serveCrowd = async (options: CrowdOptions): Promise<ReadonlyArray<Told>> => {
  const { askAt, streams, tokens, withinMs, breakEveryMs = Number.POSITIVE_INFINITY } = options
  const resumeAt = options.resumeAt ?? askAt
  const clients = Array.from({ length: streams }, (_, index) => {
    const ask = askAt[index % askAt.length]!
    const resume = resumeAt[index % resumeAt.length]!
    return new ResumingClient(ask, bodyOf(index, tokens), resume)
  })
  const began = performance.now()
  for (const client of clients) {
    client.connect()
    await sleep(20)
  }
  for (let breaks = 0; clients.some(({ isDone }) => !isDone);) {
    for (const client of clients) client.connect()
    const faults = clients.flatMap(({ fault }) => fault ?? [])
    if (faults.length > 0) throw new Error(faults.join(", "))
    const elapsedMs = performance.now() - began
    if (elapsedMs > withinMs) {
      const left = clients
        .filter(({ isDone }) => !isDone)
        .map(({ requestId, cursor }) => `${requestId} at ${cursor}`)
      throw new Error(`not served within ${withinMs} ms: ${left.join("; ")}`)
    }
    if (elapsedMs > (breaks + 1) * breakEveryMs) {
      const streaming = clients.filter(
        (client) => !client.isDone && client.cursor > 0 && client.breaks < breaksMax,
      )
      streaming[breaks++ % Math.max(1, streaming.length)]?.close()
    }
    await sleep(50)
  }
  return clients.map(toldTo)
}
