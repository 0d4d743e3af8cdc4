import { createServer, connect, type Server, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { FaultProxy } from "../../support/FaultProxy.ts"

let proxy: FaultProxy
let server: Server
/** The client and what it has lived through. */
let client: { readonly socket: Socket; got: string; ended: string | null }

const dial = (port: number): typeof client => {
  const made: typeof client = { socket: connect(port, "127.0.0.1"), got: "", ended: null }
  made.socket
    .on("data", (chunk) => (made.got += String(chunk)))
    .on("error", (error) => (made.ended = "code" in error ? String(error.code) : error.message))
    .on("close", () => (made.ended ??= "closed"))
  return made
}

const until = async (isSo: () => boolean) => {
  const end = performance.now() + 2_000
  while (!isSo() && performance.now() < end) await sleep(2)
}

beforeEach(async () => {
  proxy = await FaultProxy.listen()
  server = createServer((socket) => {
    socket.on("error", () => undefined)
    socket.on("data", (chunk) => void socket.write(String(chunk).toUpperCase()))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  proxy.target = typeof address === "object" && address !== null ? address.port : 0
  client = dial(proxy.port)
})

afterEach(() => {
  client.socket.destroy()
  proxy.close()
  server.close()
})

describe("the bad network", () => {
  it("passes everything in its order while it is calm", async () => {
    for (let i = 0; i < 50; i++) client.socket.write(`word${i} `)
    await until(() => client.got.includes("WORD49 "))
    expect(client.got).toBe(Array.from({ length: 50 }, (_, i) => `WORD${i} `).join(""))
  })

  it("withholds everything while it is silent, and then lets it pass", async () => {
    proxy.isSilent = true
    client.socket.write("a")
    await sleep(60)
    expect([client.got, client.ended]).toEqual(["", null])
    proxy.calm()
    await until(() => client.got !== "")
    expect(client.got).toBe("A")
  })

  it("is late by as much as it is told, each way", async () => {
    proxy.delayMs = 40
    const at = performance.now()
    client.socket.write("a")
    await until(() => client.got !== "")
    expect(performance.now() - at).toBeGreaterThanOrEqual(79)
  })

  it("resets in the midst of an answer", async () => {
    client.socket.write("a")
    await until(() => client.got !== "")
    proxy.reset()
    await until(() => client.ended !== null)
    expect(client.ended).toBe("ECONNRESET")
  })

  it("lets a client go that nobody listens to", async () => {
    server.close()
    proxy.reset()
    await until(() => client.ended !== null)
    const late = dial(proxy.port)
    await until(() => late.ended !== null)
    expect(late.ended).toBe("closed")
  })
})
