// Watching over neighbours: gone is only what was seen, went, and then refuses.
import { createServer, connect, type Server, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, assert, describe, it } from "@effect/vitest"
import { type Post, Vigil } from "../../../streams/kafka/group/Vigil.ts"
import { FaultProxy } from "../../support/FaultProxy.ts"

const host = "127.0.0.1"
const closing: Array<() => void> = []
afterEach(() => closing.splice(0).forEach((close) => close()))

const until = async (isSo: () => boolean) => {
  for (const end = performance.now() + 3_000; !isSo(); await sleep(2)) {
    if (performance.now() > end) return false
  }
  return true
}

const vigilOf = (name: string) => {
  const gone: Array<string> = []
  const vigil = new Vigil(name, (memberId) => gone.push(memberId))
  closing.push(() => vigil.close())
  return { vigil, gone }
}

const postOf = async ({ vigil }: ReturnType<typeof vigilOf>): Promise<Post> => {
  const post = await vigil.postAt(host)
  assert.isNotNull(post)
  return post
}

/** Leads to a member's port, and says when somebody is connected. */
const proxyTo = async (post: Post) => {
  const proxy = await FaultProxy.listen()
  closing.push(() => proxy.close())
  proxy.target = post.port
  return { proxy, post: { ...post, port: proxy.port } }
}

/** Listens where another one listened. */
const strangerAt = (port: number): Promise<Server> =>
  new Promise((resolve) => {
    const sockets: Array<Socket> = []
    const server = createServer((socket) => {
      sockets.push(socket.on("error", () => undefined))
      socket.write("somebody else\n")
    })
    closing.push(() => {
      server.close()
      for (const socket of sockets) socket.destroy()
    })
    server.listen(port, host, () => resolve(server))
  })

describe("a member that watches over another", () => {
  it("tells once when its process is gone", async () => {
    const watcher = vigilOf("a")
    const watched = vigilOf("b")
    watcher.vigil.watch([{ memberId: "member-b", post: await postOf(watched) }])
    await sleep(50)
    assert.deepStrictEqual(watcher.gone, [])
    watched.vigil.close()
    assert.isTrue(await until(() => watcher.gone.length > 0))
    await sleep(50)
    assert.deepStrictEqual(watcher.gone, ["member-b"])
  })

  it("tells when another process has its port", async () => {
    const watcher = vigilOf("a")
    const watched = vigilOf("b")
    const post = await postOf(watched)
    const through = await proxyTo(post)
    watcher.vigil.watch([{ memberId: "member-b", post: through.post }])
    await sleep(50)
    watched.vigil.close()
    await strangerAt(post.port)
    through.proxy.reset()
    assert.isTrue(await until(() => watcher.gone.length > 0))
  })

  it("takes neither silence nor a broken connection for a death", async () => {
    const watcher = vigilOf("a")
    const through = await proxyTo(await postOf(vigilOf("b")))
    watcher.vigil.watch([{ memberId: "member-b", post: through.post }])
    await sleep(50)
    through.proxy.isSilent = true
    through.proxy.reset()
    await sleep(300)
    through.proxy.calm()
    through.proxy.reset()
    await sleep(300)
    assert.deepStrictEqual(watcher.gone, [])
  })

  it("says nothing of whom it has never seen, nor of whom it watches no more", async () => {
    const watcher = vigilOf("a")
    const [first, second] = [vigilOf("b"), vigilOf("c")]
    const nowhere = await postOf(first)
    first.vigil.close()
    watcher.vigil.watch([{ memberId: "never", post: nowhere }])
    await sleep(50)
    watcher.vigil.watch([{ memberId: "no-more", post: await postOf(second) }])
    await sleep(50)
    watcher.vigil.watch([])
    second.vigil.close()
    await sleep(50)
    assert.deepStrictEqual(watcher.gone, [])
  })

  it("reads nothing of what is said to it, and lets only so many come", async () => {
    const { port } = await postOf(vigilOf("b"))
    const sockets = Array.from({ length: 300 }, () => {
      const socket = connect(port, host)
      socket.on("error", () => undefined).on("data", () => undefined)
      socket.write("x".repeat(10_000))
      return socket
    })
    closing.push(() => sockets.forEach((socket) => socket.destroy()))
    const open = () => sockets.filter(({ closed }) => !closed).length
    assert.isTrue(await until(() => open() === 256))
    await sleep(50)
    assert.strictEqual(open(), 256)
  })
})
