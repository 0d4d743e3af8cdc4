// Request ids sort by time: "req-" and the 32 hex digits of a UUIDv7 (RFC 9562, section 5.7). The
// id alone tells the token partition (by hash) and where in the log to start reading (its
// timestamp).
import { randomFillSync } from "node:crypto"

const randomLength = 10

/** Drawn for many ids at once: asking the system for each costs more than all the rest. */
const pool = Buffer.alloc(512 * randomLength)
let poolAt = pool.length

const drawRandom = (): Buffer => {
  if (poolAt >= pool.length) {
    randomFillSync(pool)
    poolAt = 0
  }
  poolAt += randomLength
  return pool.subarray(poolAt - randomLength, poolAt)
}

const pattern = /^req-[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/

export const isRequestId = (text: string): boolean => pattern.test(text)

/** ms since the epoch; only of a text for which isRequestId holds. */
export const requestTime = (requestId: string): number => parseInt(requestId.slice(4, 16), 16)

export const newRequestId = (nowMs: number, random: Uint8Array = drawRandom()): string => {
  const bytes = Buffer.from(random)
  bytes[0] = 0x70 | (bytes[0]! & 0x0f)
  bytes[2] = 0x80 | (bytes[2]! & 0x3f)
  return `req-${nowMs.toString(16).padStart(12, "0")}${bytes.toString("hex")}`
}
