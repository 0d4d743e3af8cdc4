// What a token event costs on its way from the relay to a socket: projection, framing, pacing and
// the write, in CPU time of this process; the clients read in another one. One event a write is the
// dearest case; under load several share a write.
import { spawn } from "node:child_process"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { completionsProjection } from "../../src/api/answer/dialect/completions.ts"
import type { MakeOutlet } from "../../src/api/answer/Outlet.ts"
import { FlushWheel, type PacerShape } from "../../src/api/answer/Pacer.ts"
import { sseOutlet } from "../../src/api/answer/SseWriter.ts"
import { StreamAnswer } from "../../src/api/answer/StreamAnswer.ts"
import { defaults } from "../../src/config/settings.ts"
import type { RequestEvent } from "../../streams/fold/requestState.ts"
import { accepted, eventsOf, facts } from "../support/answer/events.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const streams = 200

/** Opens the streams and reads what comes; ends with its standard input. */
const reader = (port: number) => `
  import { connect } from "node:net"
  for (let i = 0; i < ${streams}; i++) {
    const socket = connect(${port}, "127.0.0.1")
    socket.write("GET / HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n")
    socket.on("data", () => {})
  }
  process.stdin.on("end", () => process.exit(0)).resume()
`

const wheel = new FlushWheel()
const pacer: PacerShape = {
  pace: (paced) => wheel.pace(paced),
  join: () => {},
  leave: () => {},
  now: () => Date.now(),
}

const request = accepted()

/** Streams that clients have opened and that read. */
const openStreams = async () => {
  const answers: Array<StreamAnswer> = []
  const config = defaults()
  let opened = () => {}
  const all = new Promise<void>((resolve) => (opened = resolve))
  const server = createServer((req, res) => {
    const makeOutlet: MakeOutlet = sseOutlet({ req, res }, pacer, config)
    const answer = new StreamAnswer({ makeOutlet, pacer, meter: null })
    answer.open({ request, projection: completionsProjection(request, facts), cursor: 0 })
    answers.push(answer)
    if (answers.length === streams) opened()
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const child = spawn(process.execPath, ["--input-type=module", "-e", reader(port)], {
    stdio: ["pipe", "inherit", "inherit"],
  })
  await all
  return {
    answers,
    close: () => {
      child.stdin.end()
      server.closeAllConnections()
      server.close()
    },
  }
}

const cpuUs = () => {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** CPU microseconds an event, when each stream gets so many events every 20 ms. */
const perEvent = async (
  answers: ReadonlyArray<StreamAnswer>,
  events: ReadonlyArray<RequestEvent>,
  together: number,
  seconds: number,
) => {
  const round = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const batch = events.slice(0, together)
      for (const answer of answers) answer.onEvents(batch)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  await round(25)
  const rounds = Math.round((seconds * 1000) / 20)
  const started = cpuUs()
  await round(rounds)
  return (cpuUs() - started) / (rounds * together * answers.length)
}

const projectionNs = (events: ReadonlyArray<RequestEvent>, count: number) => {
  const { push } = completionsProjection(request, facts)
  let length = 0
  const once = () => {
    for (let i = 0; i < count; i++) {
      for (const frame of push(events[i % events.length]!)) length += frame.data.length
    }
  }
  once()
  const started = performance.now()
  once()
  return { ns: ((performance.now() - started) * 1e6) / count, bytes: length / (2 * count) }
}

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => {
  const texts = [" Once", " upon", " a", " time", ",", " there", " was", " a"]
  const events = eventsOf(request, [{ texts }], null)
  const seconds = small ? 0.5 : 5
  const { ns, bytes } = projectionNs(events, small ? 100_000 : 1_000_000)
  const { answers, close } = await openStreams()
  const one = await perEvent(answers, events, 1, seconds)
  const eight = await perEvent(answers, events, 8, seconds)
  close()
  wheel.stop()
  return {
    streams,
    chunkBytes: Math.round(bytes),
    projectionNs: Math.round(ns),
    cpuUsPerEvent1AWrite: Number(one.toFixed(2)),
    cpuUsPerEvent8AWrite: Number(eight.toFixed(2)),
  }
}
