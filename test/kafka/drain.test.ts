// The same over Kafka: a worker that is asked to stop leaves its group, and its streams go on from
// another worker within a second. One that is killed says nothing: Kafka would wait for its session
// to run out, but the other workers see its connections end.
import { afterAll, afterEach, assert, beforeAll, it } from "vitest"
import { measureHandOver, paced } from "../support/handOver.ts"
import type { Sluice } from "../support/server.ts"
import { Deployment } from "../support/services/Deployment.ts"
import { useKafka } from "../support/services/testKafka.ts"

const { bootstrap } = useKafka()
/** Of Kafka's members; before it has run out nobody but the others can know. */
const sessionMs = 10_000
let deployment: Deployment
let url: string
const workers: Array<Sluice> = []
const startWorker = async () => {
  const worker = await deployment.start("worker", paced)
  workers.push(worker)
  return worker
}

beforeAll(async () => {
  deployment = new Deployment({ kafka: bootstrap() })
  deployment.prepare()
  url = (await deployment.start("gateway")).url
}, 120_000)
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()))
}, 60_000)
afterAll(() => deployment.stop(), 60_000)

it("a worker that is asked to stop hands over within a second", { timeout: 240_000 }, async () => {
  const { gapMs, leftMs } = await measureHandOver({ url, startWorker, settleMs: 4_000 })
  process.stdout.write(`longest gap ${gapMs} ms, left after ${leftMs} ms\n`)
  assert.isBelow(gapMs, 1_000)
})

it("a worker that is killed is missed at once", { timeout: 240_000 }, async () => {
  const leave = (worker: Sluice) => worker.kill()
  const { gapMs } = await measureHandOver({ url, startWorker, settleMs: 4_000, leave })
  process.stdout.write(`longest gap ${gapMs} ms\n`)
  assert.isBelow(gapMs, 0.5 * sessionMs)
})
