// `npm run simulate`: a hundred thousand seeds; `-- --seeds N --from N` others; `-- --seed N` one,
// with everything that was wrong with it.
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { runSeeds } from "./runSeeds.ts"
import { simulate } from "./simulate.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "100000" },
    from: { type: "string", default: "1" },
    processes: { type: "string", default: String(availableParallelism()) },
    mutation: { type: "string" },
  },
})

const say = (line: string) => void process.stdout.write(`${line}\n`)

const whole = (text: string, name: string): number => {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number > 0) return number
  throw new Error(`--${name} must be a whole number from 1 on, not ${text}`)
}

const shownMax = 20

if (values.seed !== undefined) {
  const counts = new Map<string, number>()
  const verdict = simulate(whole(values.seed, "seed"), counts)
  for (const fault of verdict.faults) say(fault)
  say(`seed ${verdict.seed}: ${verdict.faults.length} faults, ${verdict.events} events`)
  say(JSON.stringify(Object.fromEntries([...counts].sort())))
  if (verdict.faults.length > 0) process.exitCode = 1
} else {
  const count = whole(values.seeds, "seeds")
  const startedAt = performance.now()
  const report = await runSeeds({
    from: whole(values.from, "from"),
    count,
    processes: whole(values.processes, "processes"),
    ...(values.mutation === undefined ? {} : { mutation: values.mutation }),
    onProgress: (done) => {
      if (process.stderr.isTTY && done % 100 === 0) process.stderr.write(`\r${done} of ${count}`)
    },
  })
  if (process.stderr.isTTY) process.stderr.write("\r")
  for (const { seed, faults } of report.failures.slice(0, shownMax)) {
    say(`seed ${seed}: ${faults[0]}${faults.length > 1 ? ` (and ${faults.length - 1} more)` : ""}`)
  }
  const seconds = (performance.now() - startedAt) / 1000
  const hours = report.simulatedMs / 3_600_000
  say(JSON.stringify(report.counts))
  say(
    `${report.seeds} seeds, ${report.failures.length} failed, ` +
      `${hours.toFixed(1)} simulated hours ` +
      `in ${seconds.toFixed(0)} s; one again: npm run simulate -- --seed N`,
  )
  if (report.failures.length > 0) process.exitCode = 1
}
