// Ids to text, one token at a time, exactly equal in sum to the whole-text decode: incomplete UTF-8 is
// held back, and so is text that may yet become a stop string. A pure state machine: an adopting worker
// pushes the logged ids through a fresh one and is where the dead worker was.
import type { TokenizerModel } from "./Tokenizer.ts"

export interface TextStreamOptions {
  readonly stop: ReadonlyArray<string>
  readonly includeStop: boolean
  readonly skipSpecialTokens: boolean
  /** Output positions below it never end by a stop string (min_tokens). */
  readonly minTokens: number
}

export interface TextPiece {
  /** What became certain with this token; often empty. */
  readonly text: string
  /** The stop string that ended the text with this token, if one did. */
  readonly stopped: string | null
}

export interface TextStream {
  /** `last`: no token follows, so everything held back comes out (a cut character as U+FFFD). */
  readonly push: (id: number, last: boolean) => TextPiece
}

export type MakeTextStream = (model: TokenizerModel, options: TextStreamOptions) => TextStream
