// A worker that is asked to stop hands its running requests over: their streams go on from another
// worker within a second, with every token once.
import { afterAll, assert, it } from "vitest"
import { rmSync } from "node:fs"
import { measureHandOver, paced } from "../support/handOver.ts"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"

const data = makeDataFolder()
const running: Array<Sluice> = []
const start = async (kind: "gateway" | "worker", flags: ReadonlyArray<string>) => {
  const sluice = await startSluice({ kind, data, flags })
  running.push(sluice)
  return sluice
}

afterAll(async () => {
  await Promise.all(running.map(({ stop }) => stop()))
  rmSync(data, { recursive: true, force: true })
}, 30_000)

it("a worker that is asked to stop hands over within a second", { timeout: 180_000 }, async () => {
  const { url } = await start("gateway", [])
  const startWorker = () => start("worker", paced)
  const { gapMs, leftMs } = await measureHandOver({ url, startWorker, settleMs: 1_000 })
  process.stdout.write(`longest gap ${gapMs} ms, left after ${leftMs} ms\n`)
  assert.isBelow(gapMs, 1_000)
})
