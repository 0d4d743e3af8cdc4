// One full example of every event, and random token frames, for codec and log tests.
import type { RequestAccepted, TokenEntry, TokenFrame, TokenLogprob } from "../../schemas/types.ts"

export const exampleRequestId = "req-019aa5d2c1e07abc8def0123456789ab"

export const exampleRequest: RequestAccepted = {
  requestId: exampleRequestId,
  acceptedAt: 1_763_900_000_000,
  deadline: 1_763_900_060_000,
  model: "tales-11m",
  version: "1",
  tier: "flex",
  tenant: "täglich",
  dialect: "chat",
  promptCacheKey: "key-1",
  grammar: null,
  tools: null,
  textFormat: null,
  prompts: [[1, 2, 300, 70_000], []],
  n: 2,
  sampling: {
    maxTokens: 64,
    minTokens: 2,
    temperature: 0.8,
    topP: 0.95,
    topK: 40,
    minP: 0.05,
    presencePenalty: -0.5,
    frequencyPenalty: 0.25,
    repetitionPenalty: 1.1,
    logitBias: [{ token: 5, bias: -100 }],
    seed: -(2 ** 52),
    stop: ["\n\n", "終わり"],
    stopTokenIds: [2],
    ignoreEos: true,
    logprobs: 3,
    promptLogprobs: -1,
    skipSpecialTokens: false,
    includeStop: true,
  },
  answer: {
    stream: true,
    includeUsage: true,
    echo: true,
    echoTexts: ["Once upon a time"],
    returnTokenIds: true,
    cancelOnDisconnect: true,
    serviceTier: "flex",
    user: null,
    clientId: "c1",
    response: {
      background: true,
      store: true,
      instructions: "Be brief.",
      previousResponseId: null,
      maxOutputTokens: 64,
      metadata: [{ key: "k", value: "v" }],
      conversation: [{ role: "user", content: "Once?" }],
    },
  },
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}

const logprobs: ReadonlyArray<TokenLogprob> = [
  { logprob: -0.5, top: [{ id: 7, logprob: -0.5 }] },
  { logprob: -1.25, top: [] },
]

/** One of each kind. */
export const exampleEntries: ReadonlyArray<TokenEntry> = [
  { kind: "AttemptClaimed", requestId: exampleRequestId, attempt: 1, worker: "w-1" },
  { kind: "PromptScored", requestId: exampleRequestId, attempt: 1, prompt: 0, logprobs },
  {
    kind: "TokensGenerated",
    requestId: exampleRequestId,
    attempt: 1,
    choice: 3,
    position: 128,
    ids: [7, 99_999],
    texts: ["", "🙂 fin"],
    logprobs,
    finish: "stop",
    stopReason: "\n\n",
  },
  {
    kind: "TokensGenerated",
    requestId: exampleRequestId,
    attempt: 1,
    choice: 0,
    position: 0,
    ids: [5],
    texts: [" a"],
    logprobs: null,
    finish: null,
    stopReason: null,
  },
  {
    kind: "GenerationFinished",
    requestId: exampleRequestId,
    attempt: 1,
    promptTokens: 4,
    cachedTokens: 2,
  },
  {
    kind: "GenerationFailed",
    requestId: exampleRequestId,
    attempt: 1,
    code: "too_long",
    message: "It is too long.",
  },
  { kind: "Cancelled", requestId: exampleRequestId, by: "gateway-1" },
  { kind: "Expired", requestId: exampleRequestId, deadline: 1_763_900_060_000 },
  {
    kind: "DeadLettered",
    requestId: exampleRequestId,
    attempts: 3,
    code: "poison",
    message: "It was given up.",
  },
]

export const exampleFrame: TokenFrame = {
  writer: "w-1",
  writtenAt: 1_763_900_000_123,
  entries: exampleEntries,
}

/** A small generator whose draws follow from its seed (mulberry32). */
export const seeded = (seed: number) => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (count: number): number => Math.floor(next() * count)
  const pick = <A>(items: ReadonlyArray<A>): A => items[below(items.length)]!
  return { next, below, pick }
}

type Draw = ReturnType<typeof seeded>

const alphabet = ["a", "é", "漢", "🙂", "\u0000", " ", "z".repeat(60), "\ud800", ""]

const randomText = (draw: Draw): string =>
  Array.from({ length: draw.below(5) }, () => draw.pick(alphabet)).join("")

const ints = [0, 1, -1, 63, 64, -64, -65, 8191, 8192, 2 ** 31 - 1, -(2 ** 31)]
const longs = [...ints, 2 ** 32, 2 ** 52, -(2 ** 52), 1_763_900_000_000]

const randomLogprobs = (draw: Draw): ReadonlyArray<TokenLogprob> =>
  Array.from({ length: draw.below(4) }, () => ({
    logprob: Math.fround(-draw.next() * 10),
    top: Array.from({ length: draw.below(3) }, () => ({
      id: draw.pick(ints),
      logprob: Math.fround(draw.next()),
    })),
  }))

const randomEntry = (draw: Draw): TokenEntry => {
  const entry = draw.pick(exampleEntries)
  const requestId = draw.pick([exampleRequestId, randomText(draw)])
  switch (entry.kind) {
    case "TokensGenerated":
      return {
        ...entry,
        requestId,
        attempt: draw.pick(ints),
        position: draw.pick(ints),
        ids: Array.from({ length: draw.below(70) }, () => draw.pick(ints)),
        texts: Array.from({ length: draw.below(70) }, () => randomText(draw)),
        logprobs: draw.pick([null, randomLogprobs(draw)]),
        finish: draw.pick([null, "stop", "length"]),
        stopReason: draw.pick([null, randomText(draw)]),
      }
    case "PromptScored":
      return { ...entry, requestId, prompt: draw.pick(ints), logprobs: randomLogprobs(draw) }
    case "Expired":
      return { ...entry, requestId, deadline: draw.pick(longs) }
    case "AttemptClaimed":
      return { ...entry, requestId, attempt: draw.pick(ints), worker: randomText(draw) }
    default:
      return { ...entry, requestId }
  }
}

export const randomFrame = (seed: number): TokenFrame => {
  const draw = seeded(seed)
  return {
    writer: randomText(draw),
    writtenAt: draw.pick(longs),
    entries: Array.from({ length: draw.below(12) }, () => randomEntry(draw)),
  }
}
