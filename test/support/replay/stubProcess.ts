// The stub target in a process of its own, for tests and benches.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

export interface StubTimes {
  readonly served: number
  readonly mean: number
  readonly p50: number
  readonly p99: number
}

export interface StubProcess {
  readonly url: string
  /** Ends it; its own times from a request's last byte to its answer's first. */
  readonly end: () => Promise<StubTimes>
}

const main = fileURLToPath(new URL("./stubMain.ts", import.meta.url))

/** `prefix`: a command that runs it, such as taskset with its flags. */
export const startStub = async (
  options: { readonly delayMs: number; readonly gapMs: number; readonly pieces: number },
  prefix: ReadonlyArray<string> = [],
): Promise<StubProcess> => {
  const { delayMs, gapMs, pieces } = options
  const args = [main, String(delayMs), String(gapMs), String(pieces)]
  const [command = "", ...rest] = [...prefix, process.execPath, ...args]
  const child = spawn(command, rest, { stdio: ["pipe", "pipe", "inherit"] })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const url = String((await lines.next()).value)
  return {
    url,
    end: async () => {
      child.stdin.end()
      const times: StubTimes = JSON.parse(String((await lines.next()).value))
      if (child.exitCode === null) await once(child, "exit")
      return times
    },
  }
}
