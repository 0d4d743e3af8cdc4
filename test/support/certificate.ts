// A certificate for 127.0.0.1 that signs itself, made by openssl, as its files.
import { execFileSync } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"

export interface TestCertificate {
  readonly cert: string
  readonly key: string
  readonly pem: string
  readonly fingerprint: string
  /** In seconds. */
  readonly endsAt: number
}

/** null, or why there can be none here. */
export const missingOpenssl = ((): string | null => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" })
    return null
  } catch {
    if (process.env["SLUICE_TEST_ALL"] === "1") throw new Error("openssl is not on the path")
    return "needs openssl on the path"
  }
})()

export const makeCertificate = (folder: string, name: string, days: number): TestCertificate => {
  const cert = join(folder, `${name}.crt`)
  const key = join(folder, `${name}.key`)
  const what = ["-subj", "/CN=sluice", "-addext", "subjectAltName=IP:127.0.0.1"]
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  const files = ["-keyout", key, "-out", cert, "-days", String(days)]
  execFileSync("openssl", ["req", "-x509", ...curve, ...what, ...files], { stdio: "ignore" })
  const pem = readFileSync(cert, "utf8")
  const { fingerprint256, validToDate } = new X509Certificate(pem)
  return { cert, key, pem, fingerprint: fingerprint256, endsAt: validToDate.getTime() / 1000 }
}
