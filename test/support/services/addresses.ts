// Brokers as text, and as what a client is told; names that no other run has used. For programs and
// tests alike.
import { randomBytes } from "node:crypto"

export const addresses = (bootstrap: string) =>
  bootstrap.split(",").map((text) => {
    const [host = "", port = ""] = text.split(":")
    return { host, port: Number(port) }
  })

/** Names that no other run has used, on a cluster that may be shared. */
export const unique = (name: string): string => `${name}-${randomBytes(4).toString("hex")}`
