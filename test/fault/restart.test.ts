// The whole server, killed with -9 in the midst of 100 streams, 20 times at random moments: each
// client comes back with its cursor and ends with exactly the text of an undisturbed run. The
// moments are spread over the tokens, so that a fast machine is hit as often as a slow one; a third
// of them comes soon after a start instead, when nothing is claimed yet or everything just was.
// SLUICE_SEED replays.
import { afterAll, assert, describe, it } from "vitest"
import { rmSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { ResumingClient, type Whereabouts } from "../support/ResumingClient.ts"
import { makeDataFolder, startSluice } from "../support/server.ts"

const streams = 100
const kills = 20
const tokens = 96
const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000)

let state = seed
const random = (below: number) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return (state >>> 8) % below
}

const openings = ["Once upon a time", "The little fox", "A girl named Lily", "One day the moon"]

/** Half of them greedy, half drawn with a seed of their own. */
const bodyOf = (index: number) => ({
  model: "tales-11m",
  prompt: `${openings[index % openings.length]} ${index}`,
  max_tokens: tokens,
  stream: true,
  stream_options: { include_usage: true },
  ignore_eos: true,
  ...(index % 2 === 0 ? { temperature: 0 } : { temperature: 0.8, seed: index }),
})

interface Answer {
  readonly text: string
  readonly finish: string | null
  readonly tokens: number
}

const answerOf = (client: ResumingClient): Answer => {
  let text = ""
  let finish: string | null = null
  let usage = 0
  for (const event of client.events) {
    const chunk = JSON.parse(event)
    if (chunk.error) throw new Error(`${client.requestId}: ${event}, seed ${seed}`)
    for (const choice of chunk.choices) {
      text += choice.text
      finish = choice.finish_reason ?? finish
    }
    if (chunk.usage) usage = chunk.usage.completion_tokens
  }
  return { text, finish, tokens: usage }
}

const until = async (what: string, isSo: () => boolean, msMax: number) => {
  const end = performance.now() + msMax
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`${what} took more than ${msMax} ms, seed ${seed}`)
    await sleep(5)
  }
}

const connectAll = (clients: ReadonlyArray<ResumingClient>) => {
  for (const client of clients) {
    assert.isNull(client.fault, `seed ${seed}`)
    client.connect()
  }
}

const begin = async (where: Whereabouts): Promise<ReadonlyArray<ResumingClient>> => {
  const clients = Array.from({ length: streams }, (_, i) => new ResumingClient(where, bodyOf(i)))
  connectAll(clients)
  await until("acceptance", () => clients.every(({ requestId }) => requestId !== null), 20_000)
  return clients
}

/** Waits for the next kill's moment; clients come back meanwhile. */
const moment = async (clients: ReadonlyArray<ResumingClient>, kill: number) => {
  const soonMs = random(3) === 0 ? random(400) : null
  const share = (kill + random(100) / 100) / (kills + 1)
  const delivered = () => clients.reduce((sum, { cursor }) => sum + cursor, 0)
  const end = performance.now() + (soonMs ?? 30_000)
  while (performance.now() < end) {
    if (soonMs === null && delivered() >= share * streams * tokens) return
    connectAll(clients)
    await sleep(5)
  }
  assert.isNotNull(soonMs, `no progress in 30 s, seed ${seed}`)
}

const folders: Array<string> = []
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

const undisturbed = async (): Promise<ReadonlyArray<Answer>> => {
  const server = await startSluice()
  const clients = await begin({ url: server.url })
  await until("the undisturbed run", () => clients.every(({ isDone }) => isDone), 120_000)
  await server.stop()
  return clients.map(answerOf)
}

describe("a server that is killed again and again", () => {
  it("loses and repeats nothing", { timeout: 300_000 }, async () => {
    const expected = await undisturbed()
    assert.isTrue(expected.every((answer) => answer.tokens === tokens))
    const data = makeDataFolder()
    folders.push(data)
    const where: Whereabouts = { url: null }
    let server = await startSluice({ data })
    where.url = server.url
    const clients = await begin(where)
    for (let kill = 0; kill < kills; kill++) {
      await moment(clients, kill)
      where.url = null
      await server.kill()
      server = await startSluice({ data })
      where.url = server.url
    }
    await until(
      "the end",
      () => {
        connectAll(clients)
        return clients.every(({ isDone }) => isDone)
      },
      120_000,
    )
    await server.stop()
    for (const [index, client] of clients.entries()) {
      assert.deepStrictEqual(answerOf(client), expected[index], `stream ${index}, seed ${seed}`)
    }
    const breaks = clients.reduce((sum, client) => sum + client.breaks, 0)
    assert.isAbove(breaks, streams, "the kills hit streams")
  })
})
