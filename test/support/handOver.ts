// What clients notice when a worker is asked to stop, or dies, in the midst of their streams and
// another goes on: the longest that any stream stood still. That no token is lost or doubled on the
// way is checked against an undisturbed run.
import { setTimeout as sleep } from "node:timers/promises"
import { assert } from "vitest"
import type { Sluice } from "./server.ts"

const streams = 16
/** Enough that none ends before the second worker has settled, on a busy machine too. */
const tokens = 800
/** For `startWorker`. */
export const paced = ["--engine", "scripted", "--scripted-tokens-per-second", "50"]

interface Stream {
  readonly ids: Array<number>
  readonly times: Array<number>
  text: string
  isDone: boolean
}

/** The cursor of each event and when it came. */
const follow = (url: string, index: number): Stream => {
  const stream: Stream = { ids: [], times: [], text: "", isDone: false }
  const body = { prompt: `Story ${index}`, max_tokens: tokens, stream: true, ignore_eos: true }
  const read = async () => {
    const response = await fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...body, seed: index }),
    })
    const decoder = new TextDecoder()
    let rest = ""
    for await (const chunk of response.body ?? []) {
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n")
      rest = blocks.pop() ?? ""
      for (const block of blocks) {
        stream.ids.push(Number(/^id: (\d+)/.exec(block)?.[1]))
        stream.times.push(performance.now())
        const text = /"text":("(?:[^"\\]|\\.)*")/.exec(block)?.[1]
        if (text !== undefined) stream.text += String(JSON.parse(text))
      }
    }
    stream.isDone = true
  }
  void read()
  return stream
}

const until = async (what: string, isSo: () => boolean) => {
  for (const end = performance.now() + 60_000; !isSo(); await sleep(5)) {
    if (performance.now() > end) throw new Error(`${what} did not come in a minute`)
  }
}

/** The longest that any stream stood still after a moment. */
const longestGap = (all: ReadonlyArray<Stream>, since: number): number => {
  const gaps = all.flatMap(({ times }) =>
    times.slice(1).map((time, i) => (time > since ? time - Math.max(since, times[i] ?? 0) : 0)),
  )
  return Math.max(...gaps)
}

export interface HandOver {
  readonly gapMs: number
  /** From the wish to the process's end. */
  readonly leftMs: number
}

export interface HandOverOptions {
  readonly url: string
  readonly startWorker: () => Promise<Sluice>
  readonly settleMs: number
  /** How the first worker goes; asked to, unless this says otherwise. */
  readonly leave?: (worker: Sluice) => Promise<void>
}

const stopped = async (worker: Sluice): Promise<void> => {
  assert.strictEqual(await worker.stop(), 0)
}

export const measureHandOver = async (options: HandOverOptions): Promise<HandOver> => {
  const { url, startWorker, settleMs, leave = stopped } = options
  const first = await startWorker()
  const all = Array.from({ length: streams }, (_, index) => follow(url, index))
  await until("progress", () => all.every(({ ids }) => ids.length > 20))
  await startWorker()
  // The second one takes its share of the partitions; then the first one leaves with the rest.
  await sleep(settleMs)
  assert.isTrue(all.every(({ isDone }) => !isDone))
  const askedAt = performance.now()
  await leave(first)
  const leftMs = Math.round(performance.now() - askedAt)
  await until("the end", () => all.every(({ isDone }) => isDone))
  for (const { ids } of all) {
    const cursors = ids.slice(0, -1)
    assert.deepStrictEqual(
      cursors,
      cursors.toSorted((x, y) => x - y),
    )
    assert.strictEqual(new Set(cursors).size, cursors.length)
  }
  const undisturbed = Array.from({ length: streams }, (_, index) => follow(url, index))
  await until("an undisturbed run", () => undisturbed.every(({ isDone }) => isDone))
  assert.deepStrictEqual(
    all.map(({ text }) => text),
    undisturbed.map(({ text }) => text),
  )
  return { gapMs: Math.round(longestGap(all, askedAt)), leftMs }
}
