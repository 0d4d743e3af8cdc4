// What a choice's text says to whom: words for the reader, and calls of tools, as the model
// marks them. A fold of the text, piece by piece: the same pieces give the same deltas on every
// relay, however they are cut the whole is the same. Text that may yet become a mark is held back.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import { CallReader } from "./callReader.ts"

/** A part of a call: its id and name come once, before any of its arguments. */
export interface CallDelta {
  readonly index: number
  readonly id: string | null
  readonly name: string | null
  arguments: string
}

export interface ToolDelta {
  readonly content: string
  readonly calls: ReadonlyArray<CallDelta>
}

interface Marks {
  /** null: a text that begins with a brace is a call. */
  readonly open: string | null
  /** null: what follows is calls to the end. */
  readonly close: string | null
}

const marksOf: Readonly<Record<string, Marks>> = {
  hermes: { open: "<tool_call>", close: "</tool_call>" },
  mistral: { open: "[TOOL_CALLS]", close: null },
  llama3: { open: null, close: null },
}

/** How much of a text's end is the beginning of the mark. */
const overlap = (text: string, mark: string): number => {
  for (let size = Math.min(text.length, mark.length - 1); size > 0; size--) {
    if (mark.startsWith(text.slice(-size))) return size
  }
  return 0
}

/** Mistral's templates want nine letters and digits. */
const callId = (request: RequestAccepted, choice: number, index: number): string => {
  const hex = request.requestId.slice("req-".length)
  if (request.tools?.format !== "mistral") return `call_${hex}_${choice}_${index}`
  const twoDigits = (number: number) => String(number % 100).padStart(2, "0")
  return hex.slice(-5) + twoDigits(choice) + twoDigits(index)
}

export class ToolFold {
  readonly #request: RequestAccepted
  readonly #choice: number
  readonly #marks: Marks
  #mode: "text" | "calls" | "closing" = "text"
  #held = ""
  #reader: CallReader | null = null
  #isTold = false
  #hasText = false
  #content = ""
  #deltas: Array<CallDelta> = []
  /** Calls so far. */
  calls = 0

  constructor(request: RequestAccepted, choice: number) {
    this.#request = request
    this.#choice = choice
    this.#marks = marksOf[request.tools?.format ?? ""] ?? marksOf["hermes"]!
  }

  push(text: string, isLast: boolean): ToolDelta {
    this.#content = ""
    this.#deltas = []
    if (this.#mode === "text") this.#read(text)
    else for (const char of text) this.#step(char)
    if (isLast) this.#end()
    return { content: this.#content, calls: this.#deltas }
  }

  #read(text: string): void {
    this.#held += text
    const { open } = this.#marks
    if (open === null) return this.#readBare()
    const at = this.#held.indexOf(open)
    if (at >= 0) {
      const rest = this.#held.slice(at + open.length)
      this.#say(this.#held.slice(0, at).trimEnd())
      this.#held = ""
      this.#mode = "calls"
      for (const char of rest) this.#step(char)
      return
    }
    // White space too: before a call it is nothing to say.
    const words = this.#held.slice(0, this.#held.length - overlap(this.#held, open)).trimEnd()
    this.#say(words)
    this.#held = this.#held.slice(words.length)
  }

  #readBare(): void {
    const start = this.#held.trimStart()
    if (this.#hasText || (start !== "" && !start.startsWith("{"))) {
      this.#say(this.#held)
      this.#held = ""
    } else if (start !== "") {
      this.#held = ""
      this.#mode = "calls"
      for (const char of start) this.#step(char)
    }
  }

  #say(words: string): void {
    this.#hasText ||= words !== ""
    this.#content += words
  }

  #step(char: string): void {
    if (this.#mode === "text") return this.#read(char)
    if (this.#mode === "closing") return this.#close(char)
    if (this.#reader === null) {
      if (char !== "{") return
      this.#reader = new CallReader()
      this.#isTold = false
    }
    const reader = this.#reader
    reader.push(char)
    this.#tell(reader)
    if (!reader.isOver) return
    this.#reader = null
    if (reader.name === null) this.#say(reader.raw)
    if (this.#marks.close !== null) this.#mode = "closing"
  }

  #close(char: string): void {
    this.#held += char
    if (!this.#held.endsWith(this.#marks.close ?? "")) return
    this.#held = ""
    this.#mode = "text"
  }

  #tell(reader: CallReader): void {
    if (reader.name === null) return
    if (!this.#isTold) {
      this.#isTold = true
      this.calls += 1
    }
    const index = this.calls - 1
    const isShown = index === 0 || this.#request.tools?.parallel !== false
    const text = reader.take()
    if (!isShown) return
    const last = this.#deltas.at(-1)
    if (last?.index === index) {
      last.arguments += text
    } else if (text !== "" || !this.#known.has(index)) {
      const isNew = !this.#known.has(index)
      this.#known.add(index)
      const id = isNew ? callId(this.#request, this.#choice, index) : null
      this.#deltas.push({ index, id, name: isNew ? reader.name : null, arguments: text })
    }
  }

  readonly #known = new Set<number>()

  #end(): void {
    if (this.#reader !== null && this.#reader.name === null) this.#say(this.#reader.raw)
    if (this.#mode === "text") this.#say(this.calls === 0 ? this.#held : this.#held.trimEnd())
    this.#held = ""
  }
}

export interface WholeCall {
  readonly id: string
  readonly name: string
  readonly arguments: string
}

/** Calls put together from their deltas, in order. */
export const addCalls = (
  calls: ReadonlyArray<WholeCall>,
  deltas: ReadonlyArray<CallDelta>,
): ReadonlyArray<WholeCall> =>
  deltas.reduce<ReadonlyArray<WholeCall>>((all, delta) => {
    const known = all[delta.index]
    const call = {
      id: known?.id ?? delta.id ?? "",
      name: known?.name ?? delta.name ?? "",
      arguments: (known?.arguments ?? "") + delta.arguments,
    }
    return known === undefined ? [...all, call] : all.with(delta.index, call)
  }, calls)
