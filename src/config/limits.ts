// The settings that say what a client may ask of one server: their ranges, defaults and sentences.
import type { Limits } from "./Config.ts"
import { bytes, duration, type Get, integer, truth } from "./setting.ts"

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB
const hour = 3_600_000
const million = 1_000_000

export const limits = (get: Get): Limits => ({
  bodyBytes: get(bytes("limits.bodyBytes", [KiB, GiB], 4 * MiB, "A request's body at most.")),
  headerBytes: get(
    bytes("limits.headerBytes", [KiB, MiB], 16 * KiB, "A request's headers at most."),
  ),
  bodyTimeoutMs: get(
    duration("limits.bodyTimeoutMs", [100, hour], 10_000, "How long a body may take to arrive."),
  ),
  promptsMax: get(integer("limits.promptsMax", [1, 4096], 128, "Prompts of one request.")),
  choicesMax: get(integer("limits.choicesMax", [1, 4096], 128, "Choices of one request.")),
  stopStringsMax: get(integer("limits.stopStringsMax", [1, 256], 16, "Stop strings.")),
  logprobsMax: get(integer("limits.logprobsMax", [0, 100], 20, "Alternatives with logprobs.")),
  connectionsMax: get(
    integer("limits.connectionsMax", [1, million], 10_000, "Connections open at once."),
  ),
  socketRequestsMax: get(
    integer("limits.socketRequestsMax", [1, 4096], 64, "Requests running on one WebSocket."),
  ),
  subscriberBytes: get(
    bytes(
      "limits.subscriberBytes",
      [KiB, 64 * MiB],
      256 * KiB,
      "Held for a client that reads slowly; past it the stream waits for the client.",
    ),
  ),
  keysMax: get(
    integer(
      "limits.keysMax",
      [1, 100 * million],
      500_000,
      "Idempotency keys remembered; each about 250 bytes, for as long as log.retentionMs.",
    ),
  ),
  requestTimeoutMs: get(
    duration(
      "limits.requestTimeoutMs",
      [100, 24 * hour],
      10 * 60_000,
      "A request's deadline, unless it or its key names another.",
    ),
  ),
  cancelOnDisconnect: get(
    truth(
      "limits.cancelOnDisconnect",
      false,
      "Cancel a request whose client leaves, unless it says otherwise.",
    ),
  ),
})
