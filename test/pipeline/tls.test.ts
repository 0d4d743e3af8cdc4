// HTTPS without a proxy in front: the same answers over TLS on every port, and a certificate that
// is renewed by writing its files, while streams run.
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect as connectTls, type TLSSocket } from "node:tls"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { WebSocket } from "ws"
import { RawConnection } from "../support/api/rawHttp.ts"
import { makeCertificate, missingOpenssl, type TestCertificate } from "../support/certificate.ts"
import { type Sluice, startSluice } from "../support/server.ts"

const ask = (url: string, ca: string, body: unknown = null) =>
  new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
    const headers = { "content-type": "application/json" }
    const req = request(url, { ca, agent: false, method: body === null ? "GET" : "POST", headers })
    req.on("error", reject).on("response", (res) => {
      let text = ""
      res.on("data", (chunk) => (text += String(chunk)))
      res.on("end", () => resolve({ status: res.statusCode ?? 0, text }))
    })
    req.end(body === null ? undefined : JSON.stringify(body))
  })

/** Of the certificate that a new connection is shown. */
const fingerprintAt = (port: number) =>
  new Promise<string>((resolve, reject) => {
    const socket: TLSSocket = connectTls({ port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256)
      socket.destroy()
    })
    socket.on("error", reject)
  })

const until = async (holds: () => Promise<boolean>, withinMs = 30_000) => {
  const end = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms`)
    await sleep(100)
  }
}

describe.skipIf(missingOpenssl !== null)(`TLS ${missingOpenssl ?? ""}`, () => {
  let server: Sluice
  let folder = ""
  let first: TestCertificate
  let adminUrl = ""
  const files = { cert: "", key: "" }
  const use = ({ cert, key }: { readonly cert: string; readonly key: string }) => {
    copyFileSync(cert, files.cert)
    copyFileSync(key, files.key)
  }
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "sluice-tls-"))
    files.cert = join(folder, "tls.crt")
    files.key = join(folder, "tls.key")
    first = makeCertificate(folder, "first", 30)
    use(first)
    server = await startSluice({
      flags: ["--engine", "scripted", "--scripted-tokens-per-second", "25"],
      env: {
        SLUICE_ADMIN_LISTEN: "127.0.0.1:0",
        SLUICE_TLS_CERT: files.cert,
        SLUICE_TLS_KEY: files.key,
      },
    })
    adminUrl = /^ {2}admin {2}(https:\S+)$/m.exec(server.stdout())?.[1] ?? ""
  })
  afterAll(async () => {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const endsAt = async (ca: string) => {
    const { text } = await ask(`${adminUrl}/metrics`, ca)
    return Number(/^sluice_certificate_expiry_timestamp_seconds (\S+)$/m.exec(text)?.[1])
  }

  it("answers clients and administrators, and says when the certificate ends", async () => {
    assert.match(server.url, /^https:/)
    const body = { prompt: "hi", max_tokens: 4, stream: true }
    const { status, text } = await ask(`${server.url}/v1/completions`, first.pem, body)
    assert.strictEqual(status, 200)
    assert.match(text, /data: \[DONE\]\n\n$/)
    assert.strictEqual((await ask(`${adminUrl}/ready`, first.pem)).status, 200)
    assert.strictEqual(await endsAt(first.pem), first.endsAt)
  })

  it("speaks WebSocket", async () => {
    const socket = new WebSocket(`${server.url.replace("https", "wss")}/v1/stream`, {
      ca: first.pem,
    })
    const last = new Promise<string>((resolve, reject) => {
      socket.on("error", reject)
      socket.on("open", () => socket.send(JSON.stringify({ prompt: "hi", max_tokens: 4 })))
      socket.on("message", (data) => String(data).includes("[DONE]") && resolve(String(data)))
    })
    assert.include(await last, "[DONE]")
    socket.terminate()
  })

  it("closes on who speaks no TLS, and goes on", async () => {
    const plain = new RawConnection(server.port)
    plain.send("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert.notMatch(await plain.end(), /200/)
    assert.strictEqual((await ask(`${server.url}/health`, first.pem)).status, 200)
  })

  it("takes up a renewed certificate under a running stream, and no broken one", async () => {
    const body = { prompt: "hi", max_tokens: 400, ignore_eos: true, stream: true }
    const running = ask(`${server.url}/v1/completions`, first.pem, body)
    const second = makeCertificate(folder, "second", 60)
    use(second)
    await until(async () => (await fingerprintAt(server.port)) === second.fingerprint)
    await until(async () => (await endsAt(second.pem)) === second.endsAt)
    // A key that is not its certificate's.
    copyFileSync(first.key, files.key)
    await until(async () => server.stderr().includes("the certificate stays as it was"))
    writeFileSync(files.cert, "no certificate")
    assert.strictEqual(await fingerprintAt(server.port), second.fingerprint)
    assert.strictEqual((await ask(`${server.url}/health`, second.pem)).status, 200)
    const { text } = await running
    assert.match(text, /data: \[DONE\]\n\n$/)
  }, 120_000)

  it("does not start without what it was told to use", async () => {
    const start = (cert: string, key: string) =>
      startSluice({
        kind: "gateway",
        env: { SLUICE_TLS_CERT: cert, SLUICE_TLS_KEY: key },
      }).then(
        (started) => started.stop().then(() => "it started"),
        (error: unknown) => String(error),
      )
    assert.match(await start(join(folder, "none"), first.key), /tls\.cert cannot be read: .*ENOENT/)
    assert.match(await start(first.cert, ""), /tls\.cert and tls\.key belong together/)
  })
})
