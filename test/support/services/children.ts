// Servers as children of a test: started in a group of their own, waited for, stopped, killed,
// frozen and thawed. A zombie counts as gone: nobody may be there to reap it.
import { type ChildProcess, spawn } from "node:child_process"
import { openSync, readFileSync } from "node:fs"
import { createServer, connect } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

export interface Command {
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Its output goes to the end of this file. */
  readonly log: string
}

export const startChild = ({ file, args, env, cwd, log }: Command): ChildProcess => {
  const out = openSync(log, "a")
  const child = spawn(file, args, {
    stdio: ["ignore", out, out],
    detached: true,
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  live.add(child)
  child.once("exit", () => live.delete(child))
  return child
}

const live = new Set<ChildProcess>()

/** A test that dies takes its servers with it. */
process.once("exit", () => {
  for (const child of live) child.kill("SIGKILL")
})

export const isRunning = (child: ChildProcess | null): child is ChildProcess =>
  child !== null && child.exitCode === null && child.signalCode === null

const gone = async (child: ChildProcess, withinMs: number): Promise<boolean> => {
  for (let waited = 0; waited < withinMs && isRunning(child); waited += 10) await sleep(10)
  return !isRunning(child)
}

export const stopChild = async (child: ChildProcess | null): Promise<void> => {
  if (!isRunning(child)) return
  child.kill("SIGCONT")
  child.kill("SIGTERM")
  if (!(await gone(child, 10_000))) await killChild(child)
}

export const killChild = async (child: ChildProcess | null): Promise<void> => {
  if (!isRunning(child)) return
  child.kill("SIGKILL")
  await gone(child, 10_000)
}

/** Throws with the end of its log when the child ends before `ready` holds, or is too slow. */
export const untilReady = async (
  child: ChildProcess,
  log: string,
  ready: () => Promise<boolean>,
): Promise<void> => {
  for (let waited = 0; waited < startMsMax; waited += 50) {
    if (!isRunning(child)) throw new Error(`the server ended at once:\n${lastLines(log)}`)
    if (await ready()) return
    await sleep(50)
  }
  throw new Error(`the server is not ready after ${startMsMax} ms:\n${lastLines(log)}`)
}

/** On two cores with other work beside it. */
const startMsMax = 120_000

const lastLines = (log: string): string =>
  readFileSync(log, "utf8").split("\n").slice(-20).join("\n")

export const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port })
    const end = (open: boolean) => {
      socket.destroy()
      resolve(open)
    }
    socket.once("connect", () => end(true)).once("error", () => end(false))
  })

/** Ports that were free a moment ago. */
export const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer()
          server.listen(0, "127.0.0.1", () => resolve(server))
        }),
    ),
  )
  const ports = servers.map((server) => {
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  })
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
