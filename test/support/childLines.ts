// A child process and the lines that it has written so far.
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

export interface LinedChild {
  readonly child: ChildProcess
  /** Whole lines only; a line that a kill cut is not among them. */
  readonly lines: ReadonlyArray<string>
  /** Waits for a line that begins so. */
  readonly line: (start: string) => Effect.Effect<string>
  /** kill -9, and waits until it is gone and all it wrote was read. */
  readonly kill: Effect.Effect<void>
  /** Waits until it has ended by itself. */
  readonly ended: Effect.Effect<void>
}

const waitMsMax = 30_000

export const startChild = (file: string, args: ReadonlyArray<string>): LinedChild => {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const child = spawn(process.execPath, [path, ...args], { stdio: ["ignore", "pipe", "inherit"] })
  const lines: Array<string> = []
  let rest = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\n")
    rest = parts.pop() ?? ""
    lines.push(...parts)
  })
  let closed = false
  child.once("close", () => {
    closed = true
  })
  const until = (what: string, holds: () => boolean) =>
    Effect.gen(function* () {
      for (let waited = 0; !holds(); waited += 5) {
        if (waited > waitMsMax) throw new Error(`in vain awaited of ${args[0]}: ${what}`)
        yield* Effect.sleep(5)
      }
    })
  const find = (start: string) => lines.find((line) => line.startsWith(start))
  const ended = until("its end", () => closed)
  return {
    child,
    lines,
    line: (start) =>
      Effect.map(
        until(start, () => find(start) !== undefined),
        () => find(start) ?? "",
      ),
    kill: Effect.andThen(
      Effect.sync(() => void child.kill("SIGKILL")),
      ended,
    ),
    ended,
  }
}

/** Killed with the scope at the latest. */
export const child = (file: string, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => startChild(file, args)),
    ({ kill }) => kill,
  )
