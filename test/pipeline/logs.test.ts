// What a whole run writes down: one JSON object a line, with the ids that tell requests, traces and
// tenants apart; and of what clients and administrators said, nothing: no prompt, answer or key.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { parse } from "yaml"
import { type Sluice, startSluice } from "../support/server.ts"
import { projectRoot } from "../support/shared.ts"

const secrets = {
  prompt: "the-heron-keeps-seven-blue-marbles",
  key: "key-of-acme-that-nobody-may-see",
  wrongKey: "a-key-that-somebody-guessed",
  adminKey: "an-administrators-own-key",
}
const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"

describe("the log of a whole run", () => {
  let server: Sluice
  let lines: ReadonlyArray<Record<string, unknown>> = []
  beforeAll(async () => {
    server = await startSluice({
      flags: ["--engine", "scripted"],
      env: {
        SLUICE_LOG_LEVEL: "debug",
        SLUICE_API_KEYS: `acme:${secrets.key}`,
        SLUICE_ADMIN_LISTEN: "127.0.0.1:0",
        SLUICE_ADMIN_KEYS: secrets.adminKey,
      },
    })
    const ask = async (path: string, body: object, key = secrets.key) => {
      const answer = await fetch(server.url + path, {
        method: "POST",
        headers: {
          authorization: `Bearer ${key}`,
          "content-type": "application/json",
          "idempotency-key": `once-${secrets.prompt}-${path}`,
          traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
        },
        body: JSON.stringify({ model: "tales-11m", max_tokens: 8, ...body }),
      })
      return { status: answer.status, text: await answer.text() }
    }
    const { prompt } = secrets
    const messages = [{ role: "user", content: prompt }]
    assert.strictEqual((await ask("/v1/completions", { prompt, stop: [prompt] })).status, 200)
    assert.strictEqual((await ask("/v1/completions", { prompt, stream: true })).status, 422)
    // Answered or, where the model has no chat template, refused: neither may tell what was asked.
    assert.isBelow((await ask("/v1/chat/completions", { messages })).status, 500)
    assert.isBelow((await ask("/v1/responses", { input: prompt })).status, 500)
    assert.strictEqual((await ask("/tokenize", { prompt })).status, 200)
    assert.strictEqual((await ask("/v1/completions", { prompt: { a: prompt } })).status, 400)
    assert.strictEqual((await ask("/v1/completions", { prompt }, secrets.wrongKey)).status, 401)
    await fetch(`${server.url}/v1/completions?key=x`, { method: "POST", body: `{"${prompt}` })
    await server.stop()
    const written = server.stderr().split("\n")
    // What is told to who pressed Ctrl-C is for a person.
    lines = written
      .filter((line) => line !== "" && !line.startsWith("sluice: "))
      .map((line) => JSON.parse(line))
  })
  afterAll(() => server.stop())

  it("is one JSON object a line, with request, trace and tenant", () => {
    const requests = lines.filter(({ message }) => message === "request")
    assert.isAtLeast(requests.length, 8)
    for (const line of lines) {
      for (const key of ["time", "level", "message"]) assert.isString(line[key])
    }
    const answered = requests.filter(({ status }) => status === 200)
    for (const { requestId } of answered) assert.match(String(requestId), /^req-[\da-f]{32}$/)
    assert.isTrue(
      answered.every((line) => line["tenant"] === "acme" && line["traceId"] === traceId),
    )
  })

  it("holds no prompt, no answer and no key", () => {
    const all = server.stderr() + server.stdout()
    for (const secret of Object.values(secrets)) assert.notInclude(all, secret)
  })

  it("is what the index template and Filebeat expect", () => {
    const read = (name: string) => readFileSync(join(projectRoot, "ops", "logging", name), "utf8")
    const { template, index_patterns: patterns } = JSON.parse(read("index-template.json"))
    const filebeat = parse(read("filebeat.yml"))
    const [{ fields: renamed }] = filebeat.processors.flatMap((one: object) =>
      "rename" in one ? [one.rename] : [],
    )
    const nameOf = new Map<string, string>(
      renamed.map(({ from, to }: { from: string; to: string }) => [from, to]),
    )
    assert.strictEqual(patterns[0], "sluice-*")
    assert.match(filebeat["output.elasticsearch"].index, /^sluice-/)
    for (const line of lines.filter(({ message }) => message === "request")) {
      for (const [key, value] of Object.entries(line)) {
        if (key === "time") continue
        const name = nameOf.get(`sluice.${key}`) ?? `sluice.${key}`
        const { type } = template.mappings.properties[name] ?? {}
        const kinds: Record<string, ReadonlyArray<string>> = {
          string: ["keyword", "text"],
          number: ["short", "integer", "float"],
          boolean: ["boolean"],
        }
        assert.include(kinds[typeof value], type, `${name} of a ${typeof value}`)
      }
    }
  })
})
