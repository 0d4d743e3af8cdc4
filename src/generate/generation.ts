// One attempt at a request: its choices, each an engine sequence with its own text, from step
// entries to log entries. It promises that positions of a choice are logged in order without gap,
// that text held back by one token comes out with a later one, and that nothing of a choice follows
// its finish. It does not know of claims, slots or partitions.
import type {
  FinishReason,
  RequestAccepted,
  TokenLogprob,
  TokensGenerated,
} from "../../schemas/types.ts"
import type { TextStream } from "../tokenizer/TextStream.ts"
import type { EngineSequence } from "./engine/Engine.ts"
import type { StepEntry } from "./engine/stepOutput.ts"
import type { FrameBuffer, Pending } from "./frameBuffer.ts"

/** What earlier attempts logged of one choice. */
export interface LoggedChoice {
  readonly ids: ReadonlyArray<number>
  readonly finished: boolean
}

/** An id outside every vocabulary: it has no text, so pushing it last only lets held text out. */
const noToken = -1

interface OpenTokens extends TokensGenerated {
  readonly ids: Array<number>
  readonly texts: Array<string>
  readonly logprobs: Array<TokenLogprob> | null
  finish: FinishReason | null
  stopReason: string | null
}

export class Choice {
  readonly generation: Generation
  readonly index: number
  readonly text: TextStream
  readonly loggedIds: ReadonlyArray<number>
  /** The engine's handle; 0 until it is submitted. */
  sequence = 0
  position: number
  finished: boolean
  /** The entry that tokens are added to until it is taken, and its place in the buffer. */
  open: OpenTokens | null = null
  place: Pending | null = null

  constructor(generation: Generation, index: number, text: TextStream, logged: LoggedChoice) {
    this.generation = generation
    this.index = index
    this.text = text
    this.loggedIds = logged.ids
    this.position = logged.ids.length
    this.finished = logged.finished
    if (!logged.finished) for (const id of logged.ids) text.push(id, false)
  }
}

export interface GenerationOptions {
  readonly request: RequestAccepted
  readonly attempt: number
  readonly buffer: FrameBuffer
  /** For a choice of this prompt. */
  readonly makeText: (prompt: ReadonlyArray<number>) => TextStream
  /** Of earlier attempts, by choice; missing ones have nothing. */
  readonly logged: ReadonlyArray<LoggedChoice>
}

const nothingLogged: LoggedChoice = { ids: [], finished: false }

export class Generation {
  readonly request: RequestAccepted
  readonly attempt: number
  readonly choices: ReadonlyArray<Choice>
  readonly #buffer: FrameBuffer
  readonly #cached: Array<number>
  readonly #scored = new Set<number>()
  #choicesOpen: number
  tokens = 0

  constructor(options: GenerationOptions) {
    this.request = options.request
    this.attempt = options.attempt
    this.#buffer = options.buffer
    const { prompts, n } = options.request
    this.#cached = prompts.map(() => 0)
    this.choices = Array.from({ length: prompts.length * n }, (_, index) => {
      const text = options.makeText(prompts[Math.floor(index / n)] ?? [])
      return new Choice(this, index, text, options.logged[index] ?? nothingLogged)
    })
    this.#choicesOpen = this.choices.filter((choice) => !choice.finished).length
  }

  get over(): boolean {
    return this.#choicesOpen === 0
  }

  /** Takes what one step made of a choice. True where the choice ended with it. */
  accept(choice: Choice, entry: StepEntry): boolean {
    if (choice.finished) return true
    if (entry.cachedTokens > 0) this.#noteCached(choice, entry.cachedTokens)
    if (entry.promptLogprobs !== null) this.#score(choice, entry.promptLogprobs)
    if (!this.#take(choice, entry)) return false
    choice.finished = true
    choice.open = null
    this.#choicesOpen--
    return true
  }

  #take(choice: Choice, entry: StepEntry): boolean {
    const { ids, finish } = entry
    if (ids.length === 0) return finish === "stop" || finish === "length"
    if (entry.position !== choice.position) {
      // The engine broke its promise; going on would log a gap, and every reader would wait for
      // ever.
      throw new Error(`engine gave position ${entry.position}, expected ${choice.position}`)
    }
    const urgent = this.tokens === 0 || finish !== null
    const open = this.#openEntry(choice, entry.logprobs !== null, urgent)
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!
      const last = finish !== null && i === ids.length - 1
      const piece = choice.text.push(last && this.#isSilent(finish) ? noToken : id, last)
      open.ids.push(id)
      open.texts.push(piece.text)
      if (open.logprobs !== null) open.logprobs.push(entry.logprobs![i]!)
      choice.position++
      this.tokens++
      if (piece.stopped !== null) return finished(open, "stop", piece.stopped)
    }
    if (finish !== "stop" && finish !== "length") return false
    return finished(open, finish, entry.stopToken === null ? null : String(entry.stopToken))
  }

  /** A token that stopped its choice has no text, unless the client asked to keep it. */
  #isSilent(finish: StepEntry["finish"]): boolean {
    return finish === "stop" && !this.request.sampling.includeStop
  }

  #openEntry(choice: Choice, withLogprobs: boolean, urgent: boolean): OpenTokens {
    const buffer = this.#buffer
    if (urgent) buffer.hurry(this.request.requestId)
    if (choice.open !== null && choice.place?.taken === false) return choice.open
    const open: OpenTokens = {
      kind: "TokensGenerated",
      requestId: this.request.requestId,
      attempt: this.attempt,
      choice: choice.index,
      position: choice.position,
      ids: [],
      texts: [],
      logprobs: withLogprobs ? [] : null,
      finish: null,
      stopReason: null,
    }
    const isShown = this.request.answer.stream
    choice.place = buffer.add(open, urgent ? "now" : isShown ? "soon" : "late")
    choice.open = open
    return open
  }

  /** Every choice of a prompt scores it, so that the scores precede whichever token comes first. */
  #score(choice: Choice, logprobs: ReadonlyArray<TokenLogprob>): void {
    const { requestId, n } = this.request
    const prompt = Math.floor(choice.index / n)
    if (this.#scored.has(prompt)) return
    this.#scored.add(prompt)
    const attempt = this.attempt
    this.#buffer.add({ kind: "PromptScored", requestId, attempt, prompt, logprobs }, "soon")
  }

  /** Counted once a prompt, by its first choice: the others hit what that one computed. */
  #noteCached(choice: Choice, tokens: number): void {
    const { n, prompts } = this.request
    if (choice.index % n !== 0) return
    const prompt = choice.index / n
    const known = this.#cached[prompt]!
    this.#cached[prompt] = Math.max(known, Math.min(tokens, prompts[prompt]!.length))
  }

  get cachedTokens(): number {
    return this.#cached.reduce((sum, tokens) => sum + tokens, 0)
  }

  get promptTokens(): number {
    return this.request.prompts.reduce((sum, prompt) => sum + prompt.length, 0)
  }
}

const finished = (open: OpenTokens, finish: FinishReason, stopReason: string | null): true => {
  open.finish = finish
  open.stopReason = stopReason
  return true
}

/** The engine's view of a choice. `priority` is its tier's rank, 0 first. */
export const sequenceOf = (choice: Choice, sequence: number, priority: number): EngineSequence => {
  const { request } = choice.generation
  const { stop, skipSpecialTokens, includeStop, ...sampling } = request.sampling
  return {
    sequence,
    promptIds: request.prompts[Math.floor(choice.index / request.n)]!,
    generatedIds: choice.loggedIds,
    sampling: {
      ...sampling,
      choice: choice.index,
      // A choice that has tokens in the log has its prompt's scores there too, before them.
      promptLogprobs: choice.loggedIds.length === 0 ? sampling.promptLogprobs : -1,
    },
    priority,
    arrivedAt: request.acceptedAt,
    cacheSalt: request.tenant,
    grammar: request.grammar,
  }
}
