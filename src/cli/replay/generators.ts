// Load from one or several processes that begin at one instant and whose tallies are added up. A
// process that dies takes its share with it: the rest is reported, and said to be the rest.
import { type ChildProcess, fork } from "node:child_process"
import { Tally } from "../../replay/measure/Tally.ts"
import type {
  Generated,
  GeneratorAsk,
  GeneratorWord,
  Progress,
  RunOptions,
} from "../../replay/run.ts"
import { addVerified } from "../../replay/verify/verify.ts"

/** All begin so much later than the last one is ready: messages between processes take time. */
const headStartMs = 100

/** Fewer, larger collections of short-lived memory: each one delays sends. */
const nodeFlags = ["--max-semi-space-size=64"]

export interface Running {
  /** Resolves when all have ended. */
  readonly result: Promise<RunResult>
  /** Ends the run now; the result is of what was done so far. */
  readonly stop: () => void
}

export interface RunResult extends Generated {
  /** What kept it from its plan's end, where something did. */
  readonly faults: ReadonlyArray<string>
}

export interface RunHooks {
  readonly onStart: (atMs: number) => void
  readonly onProgress: (progress: Progress) => void
}

const mainFile = () => {
  const suffix = import.meta.url.endsWith(".ts") ? "ts" : "js"
  return new URL(`./generatorMain.${suffix}`, import.meta.url)
}

const ask = (child: ChildProcess, what: GeneratorAsk) => {
  if (child.connected) child.send(what)
}

const noProgress: Progress = { sent: 0, ended: 0, failed: 0, late: 0, inFlight: 0 }

const addProgress = (all: ReadonlyArray<Progress>): Progress =>
  all.reduce(
    (sum, one) => ({
      sent: sum.sent + one.sent,
      ended: sum.ended + one.ended,
      failed: sum.failed + one.failed,
      late: sum.late + one.late,
      inFlight: sum.inFlight + one.inFlight,
    }),
    noProgress,
  )

const addGenerated = (all: ReadonlyArray<Generated>, options: RunOptions): Generated => {
  const tally = new Tally(options.objectives, options.lateMs)
  for (const one of all) tally.add(one.tally)
  const verified = all.flatMap(({ verify }) => (verify === null ? [] : [verify]))
  return {
    tally: tally.toData(),
    lastEndMs: Math.max(0, ...all.map(({ lastEndMs }) => lastEndMs)),
    verify: options.verify ? addVerified(verified) : null,
  }
}

/** One process, to its end. */
const runOne = (child: ChildProcess, on: (word: GeneratorWord) => void) =>
  new Promise<{ readonly generated: Generated | null; readonly fault: string | null }>(
    (resolve) => {
      child.on("message", (word: GeneratorWord) => {
        on(word)
        if (word.kind === "failed") resolve({ generated: null, fault: word.message })
        if (word.kind === "done") resolve({ generated: word.generated, fault: word.fault })
      })
      child.on("error", (error) => resolve({ generated: null, fault: error.message }))
      child.on("exit", (code, signal) => {
        const fault = `a generator process ended with ${code ?? signal ?? "nothing"}`
        resolve({ generated: null, fault })
      })
    },
  )

export const runGenerators = (options: RunOptions, of: number, hooks: RunHooks): Running => {
  const children = Array.from({ length: of }, () =>
    fork(mainFile(), { serialization: "advanced", execArgv: nodeFlags }),
  )
  const progress = new Map<number, Progress>()
  let waiting = of
  const begin = () => {
    const atMs = performance.timeOrigin + performance.now() + headStartMs
    hooks.onStart(atMs)
    children.forEach((child) => ask(child, { kind: "go", atMs }))
  }
  const runs = children.map((child, index) => {
    const run = runOne(child, (word) => {
      if (word.kind === "progress") progress.set(index, word.progress)
      if (word.kind === "progress") hooks.onProgress(addProgress([...progress.values()]))
      if (word.kind === "ready" || word.kind === "failed") waiting--
      if (word.kind === "ready" || word.kind === "failed") if (waiting === 0) begin()
    })
    ask(child, {
      kind: "begin",
      options: { ...options, plan: { ...options.plan, share: { index, of } } },
    })
    return run
  })
  const result = Promise.all(runs).then((ended): RunResult => {
    children.forEach((child) => child.kill("SIGKILL"))
    const all = ended.flatMap(({ generated }) => (generated === null ? [] : [generated]))
    const faults = ended.flatMap(({ fault }) => (fault === null ? [] : [fault]))
    return { ...addGenerated(all, options), faults: [...new Set(faults)] }
  })
  return { result, stop: () => children.forEach((child) => ask(child, { kind: "stop" })) }
}
