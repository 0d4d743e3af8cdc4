// A TCP proxy that breaks connections after so many bytes of the answer, as networks do: at any
// byte, without a word.
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

export interface CuttingProxy {
  readonly url: string
  /** Connections that were broken so far. */
  readonly cuts: () => number
  readonly close: () => Promise<void>
}

/**
 * Connection i ends after `cutAfter[i]` bytes of the answer, or as many as it says; those beyond a
 * list are left alone.
 */
export const cuttingProxy = async (
  targetPort: number | (() => number),
  cutAfter: ReadonlyArray<number> | (() => number),
): Promise<CuttingProxy> => {
  const bytesOf = (connection: number) =>
    typeof cutAfter === "function" ? cutAfter() : cutAfter[connection]
  let connections = 0
  let cuts = 0
  const open = new Set<Socket>()
  const server = createServer((client) => {
    const left = { bytes: bytesOf(connections++) ?? Number.POSITIVE_INFINITY }
    const port = typeof targetPort === "function" ? targetPort() : targetPort
    const target = connect(port, "127.0.0.1")
    for (const socket of [client, target]) {
      open.add(socket)
      socket.on("error", () => {}).on("close", () => open.delete(socket))
    }
    // Nobody there: the client is told at once, and comes again.
    target.on("error", () => client.destroy())
    client.pipe(target)
    target.on("data", (chunk) => {
      client.write(chunk.subarray(0, Math.min(chunk.length, left.bytes)))
      left.bytes -= chunk.length
      if (left.bytes > 0) return
      cuts++
      client.end(() => client.destroy())
      target.destroy()
    })
    target.on("end", () => client.end())
    client.on("close", () => target.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    cuts: () => cuts,
    close: async () => {
      open.forEach((socket) => socket.destroy())
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
