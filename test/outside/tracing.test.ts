// One request's trace, from the header that its caller sent, over its record, to the worker that
// adopted it from one that was killed, and back over the relay: received as OTLP and read by
// OpenTelemetry's own protocol definitions.
import { execFile } from "node:child_process"
import { createServer } from "node:http"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { pythonWith } from "../support/services/tools.ts"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"
import { projectRoot } from "../support/shared.ts"

const run = promisify(execFile)
const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
const callerSpan = "00f067aa0ba902b7"
const secret = "the-heron-keeps-seven-blue-marbles"

interface Span {
  readonly name: string
  readonly trace: string
  readonly span: string
  readonly parent: string
  readonly kind: number
  readonly startMs: number
  readonly endMs: number
  readonly process: Readonly<Record<string, string>>
  readonly attributes: Readonly<Record<string, unknown>>
}

describe("a trace", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-otlp-"))
  const data = makeDataFolder()
  const files: Array<string> = []
  const receiver = createServer((req, res) => {
    const chunks: Array<Buffer> = []
    req.on("data", (chunk: Buffer) => chunks.push(chunk))
    req.on("end", () => {
      const file = join(folder, `${files.length}.bin`)
      writeFileSync(file, Buffer.concat(chunks))
      files.push(file)
      res.end()
    })
  })
  const servers: Array<Sluice> = []
  let spans: ReadonlyArray<Span> = []
  beforeAll(async () => {
    const { python } = await pythonWith("otlp", ["opentelemetry-proto==1.45.2"])
    await new Promise<void>((resolve) => void receiver.listen(0, "127.0.0.1", () => resolve()))
    const address = receiver.address()
    const port = typeof address === "object" ? (address?.port ?? 0) : 0
    const env = {
      SLUICE_ENGINE: "scripted",
      SLUICE_SCRIPTED_TOKENS_PER_SECOND: "40",
      SLUICE_TRACING_ENDPOINT: `http://127.0.0.1:${port}/v1/traces`,
      SLUICE_TRACING_SAMPLE_RATIO: "0.000001",
    }
    const start = async (kind: "gateway" | "worker") => {
      const server = await startSluice({ kind, data, env })
      servers.push(server)
      return server
    }
    const gateway = await start("gateway")
    const doomed = await start("worker")
    const ask = async (flags: string | null) => {
      const answer = await fetch(`${gateway.url}/v1/completions`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(flags === null ? {} : { traceparent: `00-${traceId}-${callerSpan}-${flags}` }),
        },
        body: JSON.stringify({
          model: "tales-11m",
          prompt: secret,
          max_tokens: 400,
          ignore_eos: true,
        }),
      })
      assert.strictEqual(answer.status, 200)
      await answer.text()
    }
    const asked = Promise.all([ask("01"), ask("00"), ask(null)])
    // Begun for certain, and far from its end: the next worker finds it half done.
    await new Promise((resolve) => setTimeout(resolve, 400))
    await doomed.kill()
    await start("worker")
    await asked
    for (const server of servers) if (server !== doomed) await server.stop()
    const { stdout } = await run(python, [
      join(projectRoot, "test", "support", "services", "otlp.py"),
      ...files,
    ])
    spans = JSON.parse(stdout)
  }, 240_000)
  afterAll(() => {
    receiver.close()
    for (const path of [folder, data]) rmSync(path, { recursive: true, force: true })
  })

  const one = (name: string): Span => {
    const found = spans.filter((span) => span.name === name)
    assert.lengthOf(found, 1, `${name} in ${spans.map((span) => span.name).join(", ")}`)
    return found[0]!
  }

  it("goes on from the caller's, by the conventions for generative AI", () => {
    const server = one("text_completion tales-11m")
    assert.deepInclude(server, { trace: traceId, parent: callerSpan, kind: 2 })
    assert.strictEqual(server.process["service.name"], "sluice")
    assert.deepInclude(server.attributes, {
      "gen_ai.operation.name": "text_completion",
      "gen_ai.provider.name": "sluice",
      "gen_ai.request.model": "tales-11m",
      "http.route": "/v1/completions",
    })
    assert.strictEqual(Number(server.attributes["gen_ai.usage.output_tokens"]), 400)
  })

  it("shows queue, prefill, decode and relay, across adoption", () => {
    const server = one("text_completion tales-11m")
    const attempt = one("attempt")
    assert.strictEqual(attempt.parent, server.span)
    assert.strictEqual(attempt.process["sluice.process"], "worker")
    assert.strictEqual(Number(attempt.attributes["sluice.attempt"]), 2)
    assert.strictEqual(attempt.attributes["sluice.adopted"], true)
    assert.strictEqual(one("relay").parent, server.span)
    const parts = ["queue", "prefill", "decode"].map(one)
    for (const [index, part] of parts.entries()) {
      assert.strictEqual(part.parent, attempt.span)
      assert.isAtLeast(part.endMs, part.startMs)
      if (index > 0) assert.strictEqual(part.startMs, parts[index - 1]?.endMs)
    }
  })

  it("is there only of what is sampled, and says nothing of what was said", () => {
    assert.deepStrictEqual([...new Set(spans.map(({ trace }) => trace))], [traceId])
    assert.notInclude(JSON.stringify(spans), secret)
  })
})
