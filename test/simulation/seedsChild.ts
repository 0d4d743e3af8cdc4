// One process of a run over many seeds. A mutation changes the product's source as it is loaded, so
// everything of the product is imported only after that is arranged.
import { mutate } from "./mutate.ts"
import { mutationOf } from "./mutations.ts"
import type { SeedMessage, SeedRange } from "./runSeeds.ts"
import type { Verdict } from "./simulate.ts"

const isRange = (value: unknown): value is SeedRange =>
  typeof value === "object" && value !== null && "from" in value && "count" in value

const range: unknown = JSON.parse(process.argv[2] ?? "null")
if (!isRange(range)) throw new Error("this is started by runSeeds.ts")

const tell = (message: SeedMessage): void => void process.send?.(message)

if (range.mutation !== null) mutate(mutationOf(range.mutation))
const { simulate } = await import("./simulate.ts")

const counts = new Map<string, number>()
const failures: Array<Verdict> = []
let simulatedMs = 0
let seeds = 0
for (let i = 0; i < range.count; i++) {
  const seed = range.from + i * range.step
  const verdict = simulate(seed, counts)
  simulatedMs += verdict.tookMs
  seeds++
  if (verdict.faults.length > 0) failures.push(verdict)
  tell({ done: seeds })
  if (range.stopsAtFailure && failures.length > 0) break
}
tell({ report: { seeds, failures, counts: Object.fromEntries(counts), simulatedMs } })
