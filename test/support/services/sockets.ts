// The TCP connections of another process, as Linux lists them.
import { readdirSync, readFileSync, readlinkSync } from "node:fs"

const socketsOf = (pid: number): ReadonlySet<string> => {
  const folder = `/proc/${pid}/fd`
  const inodes = readdirSync(folder).map((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1] ?? ""
    } catch {
      // It was closed since the folder was listed.
      return ""
    }
  })
  return new Set(inodes)
}

/** How many connections a process has to any of these ports. */
export const connectionsTo = (pid: number, ports: ReadonlyArray<number>): number => {
  const own = socketsOf(pid)
  // Columns: local and remote address as hex, then more, the inode as the tenth.
  return readFileSync(`/proc/${pid}/net/tcp`, "utf8")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => own.has(columns[9] ?? "none"))
    .filter(([, , remote = ""]) => ports.includes(Number.parseInt(remote.split(":")[1] ?? "", 16)))
    .length
}
