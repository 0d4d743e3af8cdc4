// The boards of ops/docker/grafana: every panel's query is asked of a real Prometheus that scraped
// a gateway and two workers under load, one of which was killed in the middle of it. A panel that
// is empty or wrong fails. What only a GPU measures comes from recorded samples.
import { createServer } from "node:http"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { Prometheus } from "../support/services/Prometheus.ts"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"
import { projectRoot } from "../support/shared.ts"

const folder = join(projectRoot, "ops", "docker", "grafana", "dashboards")
const boards = readdirSync(folder).map((file) => ({
  file,
  board: JSON.parse(readFileSync(join(folder, file), "utf8")),
}))
const recorded = readFileSync(join(projectRoot, "test", "support", "recorded", "gpu.prom"), "utf8")

const env = {
  SLUICE_ADMIN_LISTEN: "127.0.0.1:0",
  SLUICE_ENGINE: "scripted",
  SLUICE_HEARTBEAT_EVERY_MS: "2000",
  SLUICE_SCRIPTED_TOKENS_PER_SECOND: "50",
  SLUICE_PRICES_PROMPT_PER_MILLION: "0.5",
  SLUICE_PRICES_COMPLETION_PER_MILLION: "1.5",
  SLUICE_PRICES_WORKER_PER_HOUR: "4.1",
}
const adminUrl = (server: Sluice) => /^ {2}admin {2}(http:\S+)$/m.exec(server.stdout())?.[1] ?? ""

const ask = async (url: string, maxTokens: number, stream: boolean) => {
  const prompt = "Once upon a time there was a little mouse who lived under a very old house."
  const answer = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "tales-11m",
      prompt,
      max_tokens: maxTokens,
      stream,
      ignore_eos: true,
    }),
  })
  await answer.text()
  return answer.status
}

describe("the boards", () => {
  const data = makeDataFolder()
  const recordings = createServer((_, res) => void res.end(recorded))
  const started: Array<Sluice> = []
  let prometheus: Prometheus
  beforeAll(async () => {
    const start = async (kind: "gateway" | "worker") => {
      const server = await startSluice({ kind, data, env })
      started.push(server)
      return server
    }
    const gateway = await start("gateway")
    const doomed = await start("worker")
    await new Promise<void>((resolve) => void recordings.listen(0, "127.0.0.1", () => resolve()))
    const address = recordings.address()
    const port = typeof address === "object" ? (address?.port ?? 0) : 0
    const adopter = await start("worker")
    const servers = [...started.map(adminUrl), `http://127.0.0.1:${port}`]
    prometheus = await Prometheus.start(servers)
    const long = Array.from({ length: 24 }, () => ask(gateway.url, 200, true))
    await new Promise((resolve) => setTimeout(resolve, 1500))
    await doomed.kill()
    for (let round = 0; round < 4; round++) {
      await ask(gateway.url, 10, round % 2 === 0)
      assert.strictEqual(await ask(gateway.url, 100_000, false), 400)
    }
    assert.deepStrictEqual(new Set(await Promise.all(long)), new Set([200]))
    assert.isNull(adopter.child.exitCode)
    // Lag is looked at every 5 s, paused streams every half heartbeat.
    await new Promise((resolve) => setTimeout(resolve, 6000))
  }, 240_000)
  afterAll(async () => {
    recordings.close()
    await prometheus?.stop()
    for (const server of started) await server.stop().catch(() => "gone")
  })

  it("are those that operators were promised", () => {
    assert.deepStrictEqual(
      boards.map(({ board }) => board.title),
      ["Business", "GPU", "Log", "Model", "System"].map((name) => `Sluice: ${name}`),
    )
  })

  for (const { file, board } of boards) {
    for (const { title, targets } of board.panels) {
      it(`${file}: ${title}`, async () => {
        for (const { expr } of targets) {
          const samples = await prometheus.query(expr)
          assert.isNotEmpty(samples, expr)
          assert.isTrue(
            samples.some(({ value: [, value] }) => Number.isFinite(Number(value))),
            `${expr} gives only ${samples[0]?.value[1]}`,
          )
        }
      })
    }
  }
})
