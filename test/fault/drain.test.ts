// A worker that is asked to stop hands its running requests over: their streams go on from another
// worker within a second, with every token once.
import { afterAll, assert, describe, it } from "vitest"
import { rmSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"

const streams = 16
const tokens = 500
const paced = ["--engine", "scripted", "--scripted-tokens-per-second", "50"]

const data = makeDataFolder()
afterAll(() => rmSync(data, { recursive: true, force: true }))

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

const worker = () => startSluice({ kind: "worker", data, flags: paced })

describe("a worker that is asked to stop", () => {
  it("hands over within a second", { timeout: 180_000 }, async () => {
    const running: Array<Sluice> = [await startSluice({ kind: "gateway", data })]
    const url = running[0]?.url ?? ""
    const first = await worker()
    const all = Array.from({ length: streams }, (_, index) => follow(url, index))
    await until("progress", () => all.every(({ ids }) => ids.length > 20))
    running.push(await worker())
    // The second one takes its share of the partitions; then the first one leaves with the rest.
    await sleep(1_000)
    assert.isTrue(all.every(({ isDone }) => !isDone))
    const askedAt = performance.now()
    assert.strictEqual(await first.stop(), 0)
    const leftAfter = performance.now() - askedAt
    await until("the end", () => all.every(({ isDone }) => isDone))
    const gap = longestGap(all, askedAt)
    assert.isBelow(gap, 1_000, `streams stood still for ${gap} ms, the worker left ${leftAfter} ms`)
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
    process.stdout.write(`longest gap ${Math.round(gap)} ms, left after ${leftAfter | 0} ms\n`)
    for (const one of running) await one.stop()
  })
})
