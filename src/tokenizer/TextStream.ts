// Ids to text, one token at a time, exactly equal in sum to the whole-text decode: incomplete UTF-8
// is held back, and so is text that may yet become a stop string. A pure state machine: an adopting
// worker pushes the logged ids through a fresh one and is where the dead worker was.
import { makeStopMatcher, type StopMatcher } from "./stopStrings.ts"
import type { TokenizerModel } from "./Tokenizer.ts"
import { decodeUtf8, unfinishedBytes } from "./utf8.ts"

export interface TextStreamOptions {
  readonly stop: ReadonlyArray<string>
  readonly includeStop: boolean
  readonly skipSpecialTokens: boolean
  /** Output positions below it never end by a stop string (min_tokens). */
  readonly minTokens: number
  /**
   * The text goes on where other text ended (a completion after its prompt): a leading space that
   * sentencepiece-style decoders drop at a text's beginning is then kept. Default: it begins one.
   */
  readonly continuesText?: boolean
}

export interface TextPiece {
  /** What became certain with this token; often empty. */
  readonly text: string
  /** The stop string that ended the text with this token, if one did. */
  readonly stopped: string | null
}

export interface TextStream {
  /**
   * `last`: no token follows, so everything held back comes out (a cut character as U+FFFD). After
   * the last token, or a stop string, nothing comes out any more.
   */
  readonly push: (id: number, last: boolean) => TextPiece
}

export type MakeTextStream = (model: TokenizerModel, options: TextStreamOptions) => TextStream

const silent: TextPiece = { text: "", stopped: null }
const noBytes = new Uint8Array(0)

/** A token's own text where it is whole characters, else null: kept for every id that was seen. */
type WholeTexts = Array<string | null | undefined>
const wholeTexts = new WeakMap<TokenizerModel, WholeTexts>()

const wholeTextsOf = (model: TokenizerModel): WholeTexts => {
  const known = wholeTexts.get(model)
  if (known !== undefined) return known
  const fresh: WholeTexts = []
  wholeTexts.set(model, fresh)
  return fresh
}

/** Bytes that decode without a U+FFFD that they do not hold themselves. */
const wholeTextOf = (bytes: Uint8Array): string | null => {
  const text = decodeUtf8(bytes)
  return text.includes("\ufffd") && Buffer.compare(Buffer.from(text), bytes) !== 0 ? null : text
}

const joined = (head: Uint8Array, tail: Uint8Array): Uint8Array => {
  if (head.length === 0) return tail
  const bytes = new Uint8Array(head.length + tail.length)
  bytes.set(head)
  bytes.set(tail, head.length)
  return bytes
}

class Stream implements TextStream {
  readonly #model: TokenizerModel
  readonly #options: TextStreamOptions
  readonly #texts: WholeTexts
  readonly #matcher: StopMatcher | null
  #carry: Uint8Array = noBytes
  /** Text that is certain but may begin a stop string. */
  #held = ""
  #position = 0
  #stripsNext: boolean
  #over = false

  constructor(model: TokenizerModel, options: TextStreamOptions) {
    this.#model = model
    this.#options = options
    this.#texts = wholeTextsOf(model)
    this.#matcher = options.stop.length === 0 ? null : makeStopMatcher(options.stop)
    this.#stripsNext = model.stripsLeadingSpace && options.continuesText !== true
  }

  push(id: number, last: boolean): TextPiece {
    if (this.#over) return silent
    this.#over = last
    const mayStop = this.#position++ >= this.#options.minTokens
    const text = this.#stripped(this.#decode(id, last))
    if (this.#matcher !== null) return this.#matched(this.#matcher, text, mayStop)
    return text === "" ? silent : { text, stopped: null }
  }

  #decode(id: number, last: boolean): string {
    if (this.#options.skipSpecialTokens && this.#model.specialIds.has(id)) {
      return last ? this.#flush(noBytes) : ""
    }
    let text = this.#texts[id]
    if (text === undefined) text = this.#learn(id)
    if (text !== null && this.#carry.length === 0) return text
    const bytes = this.#model.tokenBytes(id)
    if (last) return this.#flush(bytes)
    const all = joined(this.#carry, bytes)
    const certain = all.length - unfinishedBytes(all)
    this.#carry = all.slice(certain)
    if (certain === 0) return ""
    return decodeUtf8(all.subarray(0, certain))
  }

  /** Ids outside the vocabulary have no text and are not remembered. */
  #learn(id: number): string | null {
    const text = wholeTextOf(this.#model.tokenBytes(id))
    if (id >= 0 && id < this.#model.vocabSize) this.#texts[id] = text
    return text
  }

  #flush(bytes: Uint8Array): string {
    const all = joined(this.#carry, bytes)
    this.#carry = noBytes
    return decodeUtf8(all)
  }

  #stripped(text: string): string {
    if (!this.#stripsNext || text === "") return text
    this.#stripsNext = false
    return text.charCodeAt(0) === 0x20 ? text.slice(1) : text
  }

  #matched(matcher: StopMatcher, text: string, mayStop: boolean): TextPiece {
    const match = matcher.read(text, mayStop)
    if (match !== null) {
      this.#over = true
      const all = this.#held + text.slice(0, match.end)
      const keep = this.#options.includeStop ? all.length : all.length - match.stop.length
      return { text: all.slice(0, keep), stopped: match.stop }
    }
    const all = this.#held + text
    const certain = this.#over ? all.length : all.length - matcher.heldUnits()
    this.#held = all.slice(certain)
    return certain === 0 ? silent : { text: all.slice(0, certain), stopped: null }
  }
}

export const makeTextStream: MakeTextStream = (model, options) => new Stream(model, options)
