// Two workers and a gateway as processes on one data folder. A worker that is stopped in the midst
// of its requests loses them to the other, and changes nothing any more when it wakes.
import { afterAll, assert, describe, it } from "vitest"
import { rmSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { ResumingClient } from "../support/ResumingClient.ts"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"

const streams = 12
const tokens = 300

const bodyOf = (index: number) => ({
  model: "tales-11m",
  prompt: `A story about ${index}`,
  max_tokens: tokens,
  stream: true,
  ignore_eos: true,
  temperature: 0.8,
  seed: index,
})

const textOf = (client: ResumingClient) =>
  client.events.map((event) => JSON.parse(event).choices[0]?.text ?? "").join("")

const until = async (what: string, isSo: () => boolean) => {
  const end = performance.now() + 60_000
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`${what} did not come in a minute`)
    await sleep(5)
  }
}

const data = makeDataFolder()
afterAll(() => rmSync(data, { recursive: true, force: true }))

const ask = (url: string) => {
  const clients = Array.from({ length: streams }, (_, i) => new ResumingClient({ url }, bodyOf(i)))
  for (const client of clients) client.connect()
  return clients
}

const allDone = (clients: ReadonlyArray<ResumingClient>) => () =>
  clients.every(({ isDone, fault }) => {
    assert.isNull(fault)
    return isDone
  })

/** The log takes a request: its stream opens, which is when its record is durable. */
const accepts = async (url: string): Promise<boolean> => {
  const opened = fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "Once", max_tokens: 1, stream: true }),
  }).then(({ body }) => body?.cancel())
  opened.catch(() => undefined)
  return Promise.race([opened.then(() => true), sleep(2000, false)])
}

/**
 * A process that is stopped in the midst of a commit holds the store's write lock, and everybody
 * waits until it goes on. What a stopped worker may do to others is asked here of every other
 * moment, so one that holds the lock goes on a little and is stopped again.
 */
const pause = async (worker: Sluice, url: string) => {
  for (let tries = 0; tries < 10; tries++) {
    worker.child.kill("SIGSTOP")
    if (await accepts(url)) return
    worker.child.kill("SIGCONT")
    await sleep(7)
  }
  throw new Error("the paused worker held the store's write lock ten times")
}

/** What a client sees that comes again from the beginning. */
const replayed = async (url: string, clients: ReadonlyArray<ResumingClient>) => {
  const again = clients.map(({ requestId }) => {
    const client = new ResumingClient({ url }, {})
    client.requestId = requestId
    client.connect()
    return client
  })
  await until("the replay", allDone(again))
  return again.map(textOf)
}

describe("a worker that is paused", () => {
  it("is void when it wakes: its requests went on elsewhere", { timeout: 180_000 }, async () => {
    const gateway = await startSluice({ kind: "gateway", data })
    const first = await startSluice({ kind: "worker", data })
    const clients = ask(gateway.url)
    await until("progress", () => clients.every(({ cursor }) => cursor > 10))
    await pause(first, gateway.url)
    const held = clients.filter(({ isDone }) => !isDone).length
    assert.isAbove(held, 0, "all were done before the pause")
    const second = await startSluice({ kind: "worker", data })
    await until("the end by the other worker", allDone(clients))
    const texts = clients.map(textOf)
    first.child.kill("SIGCONT")
    await sleep(1500)
    assert.deepStrictEqual(await replayed(gateway.url, clients), texts)
    const undisturbed = ask(gateway.url)
    await until("an undisturbed run", allDone(undisturbed))
    assert.deepStrictEqual(undisturbed.map(textOf), texts)
    for (const process of [first, second, gateway]) await process.stop()
  })
})
