// A child process and the lines that it has written so far. Its stdout is a file: what it wrote
// before a kill -9 is there, and a reader that is slow never holds it up.
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

export interface LinedChild {
  readonly child: ChildProcess
  /** Whole lines only; a line that a kill cut is not among them. */
  readonly lines: () => ReadonlyArray<string>
  /** Waits for a line that begins so. */
  readonly line: (start: string) => Effect.Effect<string>
  /** kill -9, and waits until it is gone. */
  readonly kill: Effect.Effect<void>
}

const waitMsMax = 30_000
const readBytes = 1024 * 1024

/** The whole lines of a file that grows. */
const linesOf = (path: string) => {
  const file = openSync(path, "r")
  const buffer = Buffer.alloc(readBytes)
  const lines: Array<string> = []
  let rest = ""
  const read = (): ReadonlyArray<string> => {
    for (let count = readSync(file, buffer); count > 0; count = readSync(file, buffer)) {
      const parts = (rest + buffer.toString("latin1", 0, count)).split("\n")
      rest = parts.pop() ?? ""
      lines.push(...parts)
    }
    return lines
  }
  return { read, close: () => closeSync(file) }
}

/** Under a shell's bound on the size of files, where one is given; its unit is 1024 bytes. */
const commandOf = (program: string, args: ReadonlyArray<string>, fileBytesMax: number | null) => {
  const command = [process.execPath, program, ...args]
  if (fileBytesMax === null) return command
  return ["bash", "-c", `ulimit -f ${Math.ceil(fileBytesMax / 1024)}; exec "$@"`, "-", ...command]
}

const startChild = (file: string, args: ReadonlyArray<string>, fileBytesMax: number | null) => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-child-"))
  const path = join(folder, "lines")
  const stdout = openSync(path, "w")
  const program = fileURLToPath(new URL(file, import.meta.url))
  const [command = "", ...rest] = commandOf(program, args, fileBytesMax)
  const child = spawn(command, rest, { stdio: ["ignore", stdout, "inherit"] })
  closeSync(stdout)
  const lines = linesOf(path)
  const close = () => {
    lines.read()
    lines.close()
    rmSync(folder, { recursive: true })
  }
  return { child, lines, close }
}

const until = <A>(what: string, find: () => A | undefined): Effect.Effect<A> =>
  Effect.gen(function* () {
    for (let waited = 0; waited < waitMsMax; waited += 5) {
      const found = find()
      if (found !== undefined) return found
      yield* Effect.sleep(5)
    }
    throw new Error(`in vain awaited of a child: ${what}`)
  })

/** Killed with the scope at the latest; its lines stay. */
export const child = Effect.fnUntraced(function* (
  file: string,
  args: ReadonlyArray<string>,
  fileBytesMax: number | null = null,
) {
  const started = startChild(file, args, fileBytesMax)
  const { lines } = started
  const process = started.child
  const kill = Effect.suspend(() => {
    process.kill("SIGKILL")
    const isOver = () => process.exitCode !== null || process.signalCode !== null || undefined
    return Effect.asVoid(until("its end", isOver))
  })
  yield* Effect.addFinalizer(() => Effect.andThen(kill, Effect.sync(started.close)))
  const lined: LinedChild = {
    child: process,
    lines: lines.read,
    line: (start) => until(start, () => lines.read().find((line) => line.startsWith(start))),
    kill,
  }
  return lined
})
