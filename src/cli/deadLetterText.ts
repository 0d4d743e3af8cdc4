// Dead letters as lines for an operator. What clients wrote is shown only where it was asked for.
import type { RequestAccepted } from "../../schemas/types.ts"
import type { FoundLetter } from "../enqueue/deadLetters.ts"

const time = (ms: number): string => new Date(ms).toISOString()

/** A foreign producer's text must not move the terminal's cursor. */
const line = (text: string): string => JSON.stringify(text).slice(1, -1)

const nameOf = ({ letter }: FoundLetter): string =>
  letter.requestId === "" ? "(no request)" : line(letter.requestId)

const modelOf = ({ request }: FoundLetter): string =>
  request === null ? "-" : line(`${request.model} ${request.version} ${request.tier}`)

const heads = ["OFFSET", "GIVEN UP", "REQUEST", "MODEL", "CLAIMS", "CAUSE"]

export const listLines = (letters: ReadonlyArray<FoundLetter>): ReadonlyArray<string> => {
  if (letters.length === 0) return ["There are no dead letters."]
  const rows = letters.map((found) => [
    String(found.offset),
    time(found.letter.deadAt),
    nameOf(found),
    modelOf(found),
    String(found.letter.attempts),
    line(found.letter.code),
  ])
  const widths = heads.map((head, i) =>
    rows.reduce((most, row) => Math.max(most, row[i]?.length ?? 0), head.length),
  )
  return [heads, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  )
}

const field = (name: string, value: string | number): string => `${name.padEnd(14)}${value}`

const sum = (prompts: ReadonlyArray<ReadonlyArray<number>>): number =>
  prompts.reduce((total, { length }) => total + length, 0)

const requestLines = (request: RequestAccepted): ReadonlyArray<string> => {
  const { prompts, n, sampling } = request
  return [
    field("model", line(`${request.model}, version ${request.version}`)),
    field("tier", request.tier),
    field("tenant", request.tenant === "" ? "-" : line(request.tenant)),
    field("dialect", line(request.dialect)),
    field("accepted", time(request.acceptedAt)),
    field("deadline", time(request.deadline)),
    field("prompts", `${prompts.length}, ${sum(prompts)} tokens`),
    field("choices", `${prompts.length * n}, ${sampling.maxTokens} tokens each at most`),
    field("temperature", sampling.temperature),
    field("seed", sampling.seed),
  ]
}

/** `decode`: null where prompts are not to be shown. */
export const showLines = (
  found: FoundLetter,
  decode: ((ids: ReadonlyArray<number>) => string) | null,
): ReadonlyArray<string> => {
  const { letter, request, offset } = found
  const prompts = request?.prompts ?? []
  return [
    field("request", nameOf(found)),
    field("offset", offset),
    field("given up", time(letter.deadAt)),
    field("claims", letter.attempts),
    field("cause", `${line(letter.code)}: ${line(letter.message)}`),
    ...(request === null
      ? [field("record", `${letter.request.length} bytes that are no request`)]
      : requestLines(request)),
    ...(decode === null
      ? []
      : prompts.map((ids, i) => field(`prompt ${i}`, JSON.stringify(decode(ids))))),
  ]
}
