// Real processes under load and real faults: kill -9, SIGSTOP, and whatever the log's own servers
// suffer, at random moments, while clients stream, break and come back. What the clients saw goes
// to a file as it comes; at the end the checker reads it back and all of the logs.
import { appendFileSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { check, type CheckedLogs, violationText } from "../support/checker/check.ts"
import { lineText, readLines } from "../support/checker/history.ts"
import { foldAll } from "../support/checker/referenceFold.ts"
import { drawsOf } from "../simulation/Simulation.ts"
import { type FaultName, Fleet } from "./Fleet.ts"
import { Network } from "./Network.ts"
import { type Pauses, pausesOf } from "./recovery.ts"
import type { Rig } from "./rigs.ts"
import { TortureClient } from "./TortureClient.ts"

export interface TortureOptions {
  readonly rig: Rig
  readonly seed: number
  /** Of processes; other faults come beside them. */
  readonly kills: number
  /** Streams at any time. */
  readonly streams: number
  readonly tokens: number
  readonly historyFile: string
  readonly onProgress?: (kills: number) => void
}

export interface TortureReport {
  readonly log: string
  readonly seeds: ReadonlyArray<number>
  readonly kills: number
  readonly faults: Readonly<Record<string, number>>
  readonly requests: number
  readonly events: number
  readonly breaks: number
  readonly outcomes: Readonly<Record<string, number>>
  readonly adopted: number
  /** Entries that the fold refused, by why. */
  readonly refused: Readonly<Record<string, number>>
  readonly violations: ReadonlyArray<string>
  readonly pauses: ReadonlyArray<Pauses>
  readonly tookSeconds: number
}

const endMsMax = 180_000
/** Few prompts, so that many greedy answers must be equal. */
const prompts = 12
const lookEveryMs = 2_000

const menu: ReadonlyArray<readonly [FaultName | "cut" | "server" | "network", number]> = [
  ["kill worker", 5],
  ["kill gateway", 3],
  ["stop worker", 3],
  ["stop gateway", 1],
  ["cut", 4],
  ["server", 1],
  ["network", 3],
]

const bodyOf = (index: number, tokens: number) => ({
  model: "tales-11m",
  prompt: `Once upon a time ${index % prompts}`,
  max_tokens: tokens,
  stream: true,
  stream_options: { include_usage: true },
  ignore_eos: true,
  temperature: 0,
  return_token_ids: true,
})

const counted = (items: Iterable<string>): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const item of items) counts[item] = (counts[item] ?? 0) + 1
  return counts
}

/** Greedy answers to one prompt are equal, however often they were adopted. */
const unequal = (logs: CheckedLogs): ReadonlyArray<string> => {
  const canons = foldAll(logs.tokens)
  const said = new Map<string, string>()
  const faults: Array<string> = []
  for (const { request } of logs.requests) {
    if (request === null) continue
    const canon = canons.get(request.requestId)
    if (canon?.terminal?.outcome !== "finished") continue
    const key = `${request.prompts.join()} ${request.sampling.maxTokens}`
    const ids = canon.ids.map((choice) => choice.join(" ")).join(", ")
    const before = said.get(key) ?? ids
    said.set(key, before)
    if (before !== ids) faults.push(`as undisturbed: ${request.requestId}: another greedy answer`)
  }
  return faults
}

/** Keeps so many streams going, and does one thing after another to everybody. */
const harass = async (
  options: TortureOptions,
  { fleet, network }: { readonly fleet: Fleet; readonly network: Network },
  newClient: () => TortureClient,
): Promise<ReadonlyArray<TortureClient>> => {
  const { rig, kills, streams } = options
  const draw = drawsOf(options.seed)
  const clients: Array<TortureClient> = []
  const total = menu.reduce((sum, [, weight]) => sum + weight, 0)
  let killed = 0
  let marksAt = 0
  while (killed < kills) {
    const open = clients.filter(({ isDone }) => !isDone)
    for (let i = open.length; i < streams; i++) clients.push(newClient())
    await sleep(draw.between(rig.faultEveryMs / 3, rig.faultEveryMs))
    let left = draw.below(total)
    const [name = "cut"] = menu.find(([, weight]) => (left -= weight) < 0) ?? []
    if (name === "cut") draw.pick(open.length > 0 ? open : clients).cut()
    else if (name === "server" || name === "network") {
      const done = name === "server" ? await rig.disturb(draw.below) : network.disturb()
      if (done !== null) fleet.note(done)
    } else if (fleet.apply(name) && name.startsWith("kill")) {
      killed++
      options.onProgress?.(killed)
    }
    if (performance.now() - marksAt > lookEveryMs) {
      marksAt = performance.now()
      await rig.look()
    }
  }
  return clients
}

const settled = async (clients: ReadonlyArray<TortureClient>): Promise<ReadonlyArray<string>> => {
  const end = performance.now() + endMsMax
  const isOpen = ({ isDone, fault }: TortureClient) => !isDone && fault === null
  while (clients.some(isOpen) && performance.now() < end) await sleep(100)
  const late = clients.filter(isOpen).map(({ requestId, name, cursor }) => {
    return `one end: ${requestId}: ${name} still waits after event ${cursor}`
  })
  return [...late, ...clients.flatMap(({ name, fault }) => (fault ? [`${name}: ${fault}`] : []))]
}

export const torture = async (options: TortureOptions): Promise<TortureReport> => {
  const { rig, seed, historyFile } = options
  const began = performance.now()
  const now = () => performance.timeOrigin + performance.now()
  const { below } = drawsOf(seed + 1)
  const fleet = new Fleet({ ...rig.size, start: rig.start, below, now })
  let made = 0
  const newClient = () => {
    const client = new TortureClient(`client-${seed}-${made}`, bodyOf(made, options.tokens), {
      url: fleet.url,
      note: (line) => appendFileSync(historyFile, lineText(line)),
      now,
    })
    made++
    client.connect()
    return client
  }
  await fleet.start()
  const network = new Network([...fleet.links, ...rig.links], below)
  const clients = await harass(options, { fleet, network }, newClient)
  network.calm()
  await rig.calm()
  await fleet.heal()
  const faults = await settled(clients)
  for (const client of clients) client.close()
  await fleet.end()
  const logs = await rig.logs()
  const history = readLines(readFileSync(historyFile, "utf8"))
  const canons = [...foldAll(logs.tokens).values()]
  return {
    log: rig.name,
    seeds: [seed],
    kills: options.kills,
    faults: counted(fleet.faults.map(({ name }) => name)),
    requests: logs.requests.length,
    events: history.filter(({ kind }) => kind === "event").length,
    breaks: clients.reduce((sum, { breaks }) => sum + breaks, 0),
    outcomes: counted(canons.map(({ terminal }) => terminal?.outcome ?? "none")),
    adopted: canons.filter(({ claims }) => claims > 1).length,
    refused: counted(canons.flatMap(({ voids }) => voids.map(({ why }) => why))),
    violations: [...faults, ...check(logs, history).map(violationText), ...unequal(logs)],
    pauses: pausesOf(
      fleet.faults,
      clients.map(({ arrivals }) => arrivals),
    ),
    tookSeconds: Math.round((performance.now() - began) / 1000),
  }
}
