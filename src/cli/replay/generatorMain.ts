// One generator process: takes its share of the plan, sends it when it is due, and tells its parent
// how it goes. It heeds its parent alone: Ctrl-C reaches every process of a terminal, and only the
// parent knows what it means. Where the parent is gone, so is the reason to go on.
import { Tally } from "../../replay/measure/Tally.ts"
import { openPlan } from "../../replay/plan/Plan.ts"
import type { GeneratorAsk, GeneratorWord, RunOptions } from "../../replay/run.ts"
import { Generator } from "../../replay/send/Generator.ts"
import { HttpTarget } from "../../replay/send/HttpTarget.ts"
import type { Target } from "../../replay/send/Target.ts"
import { TraceError } from "../../replay/trace/Trace.ts"
import { Verification } from "../../replay/verify/verify.ts"

const progressMs = 250

const tell = (word: GeneratorWord) => void process.send?.(word)

const now = () => performance.now()

const targetOf = async ({ target }: RunOptions): Promise<Target> => {
  if (target.kind === "http") return new HttpTarget(target.http)
  const { openLogTarget } = await import("./LogTarget.ts")
  return openLogTarget(target)
}

const build = async (options: RunOptions): Promise<Generator | string> => {
  const plan = openPlan(options.plan)
  if (plan instanceof TraceError) return plan.message
  const tally = new Tally(options.objectives, options.lateMs)
  const verification = options.verify ? new Verification() : null
  let progress: NodeJS.Timeout | null = null
  const generator = new Generator(options.generator, {
    plan,
    target: await targetOf(options),
    tally,
    inspector:
      verification === null
        ? null
        : {
            ended: (planned, pieces, failure) =>
              verification.compare(planned, failure === null ? pieces : null),
          },
    now,
    onDone: (error) => {
      if (progress !== null) clearInterval(progress)
      const verify = verification?.toData() ?? null
      const generated = { tally: tally.toData(), lastEndMs: generator.lastEndMs, verify }
      tell({ kind: "done", generated, fault: error?.message ?? null })
    },
  })
  progress = setInterval(() => {
    const { sent, ended, inFlightCount: inFlight } = generator
    const failed = [...tally.failures.values()].reduce((sum, { count }) => sum + count, 0)
    const late = tally.late
    tell({ kind: "progress", progress: { sent, ended, failed, late, inFlight } })
  }, progressMs)
  return generator
}

let generator: Generator | null = null

const heed = async (ask: GeneratorAsk): Promise<void> => {
  if (ask.kind === "begin") {
    const built = await build(ask.options)
    if (typeof built === "string") return tell({ kind: "failed", message: built })
    generator = built
    tell({ kind: "ready" })
  } else if (ask.kind === "go") {
    const startAt = ask.atMs - performance.timeOrigin
    setTimeout(() => generator?.start(startAt), Math.max(0, startAt - now()))
  } else generator?.stop()
}

process.on("SIGINT", () => {})
process.on("SIGTERM", () => {})
process.on("disconnect", () => process.exit(0))
process.on("message", (ask: GeneratorAsk) => {
  heed(ask).catch((error: unknown) => {
    tell({ kind: "failed", message: error instanceof Error ? error.message : String(error) })
  })
})
