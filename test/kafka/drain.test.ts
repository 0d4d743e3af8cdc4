// The same over Kafka: a worker that is asked to stop leaves its group, and its streams go on from
// another worker within a second.
import { afterAll, assert, beforeAll, it } from "vitest"
import { measureHandOver, paced } from "../support/handOver.ts"
import { Deployment } from "../support/services/Deployment.ts"
import { useKafka } from "../support/services/testKafka.ts"

const { bootstrap } = useKafka()
let deployment: Deployment

beforeAll(() => {
  deployment = new Deployment({ kafka: bootstrap() })
  deployment.prepare()
}, 120_000)
afterAll(() => deployment.stop(), 60_000)

it("a worker that is asked to stop hands over within a second", { timeout: 240_000 }, async () => {
  const { url } = await deployment.start("gateway")
  const startWorker = () => deployment.start("worker", paced)
  const { gapMs, leftMs } = await measureHandOver(url, startWorker, 4_000)
  process.stdout.write(`longest gap ${gapMs} ms, left after ${leftMs} ms\n`)
  assert.isBelow(gapMs, 1_000)
})
