// A device that fails under a worker with streams in progress: the worker says DeviceLost and ends,
// another takes over from the log, and every client has exactly the text of a run without a fault.
// Real processes on the device: a gateway, a worker on the engine of faulty_engine.cu, another one.
//
//   node test/gpu/deviceLost.ts FAULTY_ENGINE
import assert from "node:assert/strict"
import { rmSync } from "node:fs"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { ResumingClient } from "../support/ResumingClient.ts"
import { makeDataFolder, startSluice } from "../support/server.ts"
import { projectRoot } from "../support/shared.ts"

const streams = 24
const faultLaunches = 120
const millisecondsMax = 60_000

const faulty = resolve(process.argv[2] ?? "faulty_engine.so")
const inner =
  process.env["SLUICE_ENGINE_CUDA"] ??
  join(projectRoot, "native", "build", "Release", "engine_cuda.so")

const bodyOf = (index: number) => ({
  model: "tales-11m",
  prompt: `A story about ${index}`,
  max_tokens: 300,
  stream: true,
  ignore_eos: true,
  temperature: 0.8,
  seed: index,
})

const textOf = (client: ResumingClient) =>
  client.events.map((event) => JSON.parse(event).choices[0]?.text ?? "").join("")

const texts = async (url: string): Promise<ReadonlyArray<string>> => {
  const clients = Array.from({ length: streams }, (_, i) => new ResumingClient({ url }, bodyOf(i)))
  for (const client of clients) client.connect()
  const end = performance.now() + millisecondsMax
  while (!clients.every(({ isDone }) => isDone)) {
    assert.deepEqual(clients.find(({ fault }) => fault !== null)?.fault ?? null, null)
    assert.ok(performance.now() < end, "the streams did not end in a minute")
    await sleep(10)
  }
  return clients.map(textOf)
}

const data = makeDataFolder()
try {
  const env = { SLUICE_DEVICE: "cuda", SLUICE_DETERMINISTIC: "true" }
  const fault = {
    SLUICE_ENGINE_CUDA: faulty,
    SLUICE_TEST_FAULTY_INNER: inner,
    SLUICE_TEST_FAULT_LAUNCHES: String(faultLaunches),
    SLUICE_TEST_FAULT_ONCE: join(data, "faulted"),
  }
  const gateway = await startSluice({ kind: "gateway", data })
  const broken = await startSluice({ kind: "worker", data, env: { ...env, ...fault } })
  const interrupted = texts(gateway.url)
  const code = await broken.ended
  const said = `${broken.stdout()}${broken.stderr()}`
  assert.notEqual(code, 0, said)
  assert.match(said, /cudaErrorIllegalAddress/)
  const worker = await startSluice({ kind: "worker", data, env })
  const found = await interrupted
  assert.deepEqual(found, await texts(gateway.url))
  assert.ok(found.every((text) => text.length > 100))
  await worker.stop()
  await gateway.stop()
  process.stdout.write(`a lost device: ${streams} streams went on, ended with ${code}: ${said}\n`)
} finally {
  rmSync(data, { recursive: true, force: true })
}
