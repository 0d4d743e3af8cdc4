// StubTarget as a process of its own, so that what loads it has a core to itself. Prints where it
// is; at the end of its input its own times to the first byte, and leaves.
import { Histogram } from "../../../src/replay/measure/Histogram.ts"
import { StubTarget } from "./StubTarget.ts"

const [delayMs = "0", gapMs = "0", pieces = "3"] = process.argv.slice(2)
const stub = new StubTarget({
  delayMs: Number(delayMs),
  gapMs: Number(gapMs),
  pieces: Number(pieces),
})
stub.keepBodies = false
process.stdout.write(`${await stub.start()}\n`)
process.stdin.resume()
process.stdin.once("end", () => {
  const first = new Histogram()
  stub.firstMs.forEach((ms) => first.record(ms))
  const { served } = stub
  const own = { served, mean: first.mean, p50: first.quantile(0.5), p99: first.quantile(0.99) }
  process.stdout.write(`${JSON.stringify(own)}\n`)
  stub.stop()
})
