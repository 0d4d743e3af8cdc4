// The hot path's codec: TokenFrame, version 1, written by hand because it runs for every token. Its
// bytes are those of a general Avro codec (a property test compares them) and it promises nothing
// else. A version 2 would bring its reader beside this one; this one stays, since old records do.
import type { ByteReader, ByteWriter } from "./bytes.ts"
import type {
  FinishReason,
  TokenEntry,
  TokenFrame,
  TokenLogprob,
  TokensGenerated,
} from "./types.ts"

/** The branches of the union, in the schema's order. */
const kinds: ReadonlyArray<TokenEntry["kind"]> = [
  "TokensGenerated",
  "AttemptClaimed",
  "PromptScored",
  "GenerationFinished",
  "GenerationFailed",
  "Cancelled",
  "Expired",
  "DeadLettered",
]

const writeArray = <A>(
  out: ByteWriter,
  items: ReadonlyArray<A>,
  item: (out: ByteWriter, value: A) => void,
): void => {
  if (items.length > 0) {
    out.int(items.length)
    for (const value of items) item(out, value)
  }
  out.byte(0)
}

const writeInt = (out: ByteWriter, value: number): void => out.int(value)
const writeString = (out: ByteWriter, value: string): void => out.string(value)

const writeLogprob = (out: ByteWriter, value: TokenLogprob): void => {
  out.float(value.logprob)
  writeArray(out, value.top, (to, top) => {
    to.int(top.id)
    to.float(top.logprob)
  })
}

const writeNullable = <A>(
  out: ByteWriter,
  value: A | null,
  write: (out: ByteWriter, value: A) => void,
): void => {
  out.int(value === null ? 0 : 1)
  if (value !== null) write(out, value)
}

const writeTokens = (out: ByteWriter, entry: TokensGenerated): void => {
  out.int(entry.attempt)
  out.int(entry.choice)
  out.int(entry.position)
  writeArray(out, entry.ids, writeInt)
  writeArray(out, entry.texts, writeString)
  writeNullable(out, entry.logprobs, (to, logprobs) => writeArray(to, logprobs, writeLogprob))
  writeNullable(out, entry.finish, (to, finish) => to.int(finish === "stop" ? 0 : 1))
  writeNullable(out, entry.stopReason, writeString)
}

const writeEntry = (out: ByteWriter, entry: TokenEntry): void => {
  out.int(kinds.indexOf(entry.kind))
  out.string(entry.requestId)
  switch (entry.kind) {
    case "TokensGenerated":
      return writeTokens(out, entry)
    case "AttemptClaimed":
      out.int(entry.attempt)
      return out.string(entry.worker)
    case "PromptScored":
      out.int(entry.attempt)
      out.int(entry.prompt)
      return writeArray(out, entry.logprobs, writeLogprob)
    case "GenerationFinished":
      out.int(entry.attempt)
      out.int(entry.promptTokens)
      return out.int(entry.cachedTokens)
    case "GenerationFailed":
      out.int(entry.attempt)
      out.string(entry.code)
      return out.string(entry.message)
    case "Cancelled":
      return out.string(entry.by)
    case "Expired":
      return out.long(entry.deadline)
    case "DeadLettered":
      out.int(entry.attempts)
      out.string(entry.code)
      return out.string(entry.message)
  }
}

export const writeTokenFrame = (out: ByteWriter, frame: TokenFrame): void => {
  out.string(frame.writer)
  out.long(frame.writtenAt)
  writeArray(out, frame.entries, writeEntry)
}

const readArray = <A>(input: ByteReader, item: (input: ByteReader) => A): Array<A> => {
  const items: Array<A> = []
  for (let count = input.block(); count > 0; count = input.block()) {
    for (let i = 0; i < count && !input.damaged; i++) items.push(item(input))
  }
  return items
}

const readInt = (input: ByteReader): number => input.int()
const readString = (input: ByteReader): string => input.string()

const readNullable = <A>(input: ByteReader, read: (input: ByteReader) => A): A | null => {
  const branch = input.int()
  if (branch === 1) return read(input)
  if (branch !== 0) input.damage()
  return null
}

const readTop = (input: ByteReader) => ({ id: input.int(), logprob: input.float() })

const readLogprob = (input: ByteReader): TokenLogprob => ({
  logprob: input.float(),
  top: readArray(input, readTop),
})

const readLogprobs = (input: ByteReader): ReadonlyArray<TokenLogprob> =>
  readArray(input, readLogprob)

const readFinish = (input: ByteReader): FinishReason => {
  const symbol = input.int()
  if (symbol !== 0 && symbol !== 1) input.damage()
  return symbol === 0 ? "stop" : "length"
}

/** The fields of a literal are evaluated in the order in which they are written: the schema's. */
const readEntry = (input: ByteReader): TokenEntry => {
  const branch = input.int()
  const kind = kinds[branch] ?? "Cancelled"
  if (branch < 0 || branch >= kinds.length) input.damage()
  const requestId = input.string()
  switch (kind) {
    case "TokensGenerated":
      return {
        kind,
        requestId,
        attempt: input.int(),
        choice: input.int(),
        position: input.int(),
        ids: readArray(input, readInt),
        texts: readArray(input, readString),
        logprobs: readNullable(input, readLogprobs),
        finish: readNullable(input, readFinish),
        stopReason: readNullable(input, readString),
      }
    case "AttemptClaimed":
      return { kind, requestId, attempt: input.int(), worker: input.string() }
    case "PromptScored": {
      const attempt = input.int()
      const prompt = input.int()
      return { kind, requestId, attempt, prompt, logprobs: readLogprobs(input) }
    }
    case "GenerationFinished": {
      const attempt = input.int()
      const promptTokens = input.int()
      return { kind, requestId, attempt, promptTokens, cachedTokens: input.int() }
    }
    case "GenerationFailed": {
      const attempt = input.int()
      const code = input.string()
      return { kind, requestId, attempt, code, message: input.string() }
    }
    case "Cancelled":
      return { kind, requestId, by: input.string() }
    case "Expired":
      return { kind, requestId, deadline: input.long() }
    case "DeadLettered": {
      const attempts = input.int()
      const code = input.string()
      return { kind, requestId, attempts, code, message: input.string() }
    }
  }
}

/** Means nothing where `input.ended()` is false afterwards. */
export const readTokenFrame = (input: ByteReader): TokenFrame => ({
  writer: input.string(),
  writtenAt: input.long(),
  entries: readArray(input, readEntry),
})
