// The judge: everything in the logs and everything that clients saw, against the invariants that
// can be seen in them. It trusts nothing of the product but the dialects' projections, whose bytes
// it expects, and those are golden-tested. It says what broke, of which request, and where.
import type { DeadLetter, RequestAccepted } from "../../../schemas/types.ts"
import type { ModelFacts } from "../../../src/api/answer/dialect/Projection.ts"
import { isRequestId } from "../../../streams/requestId.ts"
import { type Expected, expectedFrames } from "./expected.ts"
import type { HistoryLine } from "./history.ts"
import { type Canon, foldAll, type FrameRecord } from "./referenceFold.ts"
import { transcriptFaults } from "./transcript.ts"

export interface RequestPlace {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** null: the record is no request. */
  readonly request: RequestAccepted | null
}

/** What the worker group had committed when the token partitions ended at `tokenEnds`. */
export interface Mark {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** By token partition; read after the mark was. Without it all frames count. */
  readonly tokenEnds?: ReadonlyArray<number>
}

export interface CheckedLogs {
  readonly requests: ReadonlyArray<RequestPlace>
  /** Of each partition in offset order. */
  readonly tokens: ReadonlyArray<FrameRecord>
  readonly letters: ReadonlyArray<Pick<DeadLetter, "requestId">>
  readonly committed: ReadonlyArray<Mark>
}

/** What a choice of a request says where nothing goes wrong. */
export interface Undisturbed {
  readonly ids: ReadonlyArray<number>
  readonly texts: ReadonlyArray<string>
}

export interface CheckOptions {
  /** False while requests may still run: then those without an end are no fault. Default true. */
  readonly isOver?: boolean
  /** By choice; null where nobody knows. */
  readonly undisturbed?: (request: RequestAccepted) => ReadonlyArray<Undisturbed> | null
  /** Of the model, where answers show logprobs. */
  readonly facts?: ModelFacts
  /** Claims without progress after which a request is given up. */
  readonly claimsMax?: number
  /** How late after its deadline a terminal entry may be; without it, nobody asks. */
  readonly lateMsMax?: number
}

export const invariants = [
  "durable before success",
  "logged before seen",
  "prefix",
  "one end",
  "same suffix",
  "fenced",
  "committed is over",
  "usage is positions",
  "tokens never change",
  "as undisturbed",
  "letter",
  "by its deadline",
  "given up in time",
] as const

export type Invariant = (typeof invariants)[number]

export interface Violation {
  readonly invariant: Invariant
  readonly requestId: string
  readonly message: string
}

export const violationText = ({ invariant, requestId, message }: Violation): string =>
  `${invariant}: ${requestId}: ${message}`

const emptyCanon = (requestId: string): Canon =>
  foldAll([]).get(requestId) ?? {
    requestId,
    events: [],
    places: [],
    terminal: null,
    claims: 0,
    idleClaimsMax: 0,
    contradictions: [],
    voids: [],
    ids: [],
    texts: [],
    partitions: new Set(),
  }

type Say = (invariant: Invariant, requestId: string, message: string) => void

const checkRequest = (
  say: Say,
  request: RequestAccepted,
  canon: Canon,
  options: CheckOptions,
): void => {
  const { requestId, deadline } = request
  const { terminal, contradictions, partitions } = canon
  for (const text of contradictions) say("tokens never change", requestId, text)
  if (partitions.size > 1) {
    say("prefix", requestId, `it stands in the token partitions ${[...partitions].join(", ")}`)
  }
  if (terminal === null && options.isOver !== false) {
    say(
      "one end",
      requestId,
      `it never ended (${canon.events.length} events, ${canon.claims} claims)`,
    )
  }
  const endedAt = canon.places.at(-1)?.timestamp ?? 0
  if (terminal !== null && options.lateMsMax !== undefined) {
    const lateMs = endedAt - deadline
    if (lateMs > options.lateMsMax) {
      say("by its deadline", requestId, `it ended ${lateMs} ms after its deadline`)
    }
  }
  const { idleClaimsMax } = canon
  if (options.claimsMax !== undefined && idleClaimsMax > options.claimsMax) {
    say("given up in time", requestId, `it was claimed ${idleClaimsMax} times without a token`)
  }
  if (terminal?.outcome === "finished") checkWhole(say, request, canon)
  checkUndisturbed(say, request, canon, options)
}

/** A finished request has every choice, each with its last token marked. */
const checkWhole = (say: Say, request: RequestAccepted, canon: Canon): void => {
  const choices = request.prompts.length * request.n
  const ended = new Set<number>()
  for (const event of canon.events) {
    if (event.kind !== "token" || event.finish === null) continue
    ended.add(event.choice)
    const count = canon.ids[event.choice]?.length ?? 0
    if (event.position !== count - 1) {
      say("one end", request.requestId, `choice ${event.choice} goes on after its last token`)
    }
  }
  const { terminal } = canon
  const positions = canon.ids.reduce((sum, ids) => sum + ids.length, 0)
  if (terminal !== null && terminal.completionTokens !== positions) {
    const message = `${terminal.completionTokens} counted, ${positions} positions`
    say("usage is positions", request.requestId, message)
  }
  // A choice may end without a last token of its own: at once, by a token that was not its.
  if (ended.size < choices && positions > 0 && ended.size === 0) {
    say("one end", request.requestId, `finished, and none of its ${choices} choices is`)
  }
}

const checkUndisturbed = (
  say: Say,
  request: RequestAccepted,
  canon: Canon,
  options: CheckOptions,
): void => {
  const whole = options.undisturbed?.(request) ?? null
  if (whole === null) return
  for (const [choice, ids] of canon.ids.entries()) {
    const texts = canon.texts[choice] ?? []
    const expected = whole[choice] ?? { ids: [], texts: [] }
    const at = ids.findIndex((id, i) => id !== expected.ids[i] || texts[i] !== expected.texts[i])
    if (at >= 0) {
      const found = `${ids[at]} ${JSON.stringify(texts[at])}`
      const wanted = `${expected.ids[at]} ${JSON.stringify(expected.texts[at])}`
      const message = `choice ${choice}, position ${at}: ${found} instead of ${wanted}`
      say("as undisturbed", request.requestId, message)
    } else if (canon.terminal?.outcome === "finished" && ids.length < expected.ids.length) {
      const message = `choice ${choice} ended after ${ids.length} of ${expected.ids.length} tokens`
      say("as undisturbed", request.requestId, message)
    }
  }
}

/** Everything below a mark had ended by the time it was read. */
const checkMarks = (say: Say, logs: CheckedLogs, canons: ReadonlyMap<string, Canon>): void => {
  for (const mark of logs.committed) {
    for (const { topic, partition, offset, request } of logs.requests) {
      const isBelow = topic === mark.topic && partition === mark.partition && offset < mark.offset
      if (!isBelow || request === null || !isRequestId(request.requestId)) continue
      const canon = canons.get(request.requestId)
      const end = canon?.places.at(-1)
      const tokenEnd = mark.tokenEnds?.[end?.partition ?? 0] ?? Infinity
      if (canon?.terminal != null && end !== undefined && end.offset < tokenEnd) continue
      const where = `${topic}/${partition}: ${mark.offset} was committed and ${offset} not over`
      say("committed is over", request.requestId, where)
    }
  }
}

const checkPromises = (
  say: Say,
  history: ReadonlyArray<HistoryLine>,
  known: ReadonlyMap<string, RequestAccepted>,
  canons: ReadonlyMap<string, Canon>,
): void => {
  for (const { kind, requestId, client } of history) {
    if (kind === "accepted" && !known.has(requestId)) {
      say("durable before success", requestId, `${client} was told success, and no record is there`)
    }
    if (kind === "cancelled" && canons.get(requestId)?.terminal == null) {
      say("one end", requestId, `${client}'s cancel was acknowledged, and it did not end`)
    }
  }
}

/** Empty where everything holds. */
export const check = (
  logs: CheckedLogs,
  history: ReadonlyArray<HistoryLine>,
  options: CheckOptions = {},
): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const say: Say = (invariant, requestId, message) =>
    void violations.push({ invariant, requestId, message })
  const canons = foldAll(logs.tokens)
  const known = new Map<string, RequestAccepted>()
  for (const { request } of logs.requests) {
    if (request !== null && !known.has(request.requestId)) known.set(request.requestId, request)
  }
  const letters = new Set(logs.letters.map(({ requestId }) => requestId))
  const expected = new Map<string, Expected>()
  for (const [requestId, request] of known) {
    const canon = canons.get(requestId) ?? emptyCanon(requestId)
    expected.set(requestId, expectedFrames(request, canon, options.facts))
    checkRequest(say, request, canon, options)
    if (canon.terminal?.outcome === "deadLettered" && !letters.has(requestId)) {
      say("letter", requestId, "it was dead-lettered, and no letter is there")
    }
  }
  checkMarks(say, logs, canons)
  checkPromises(say, history, known, canons)
  violations.push(...transcriptFaults(history, expected))
  return violations
}
