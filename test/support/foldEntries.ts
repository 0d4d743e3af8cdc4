// A request's entries folded, with the tokens that count kept beside the state: the fold itself
// keeps none.
import type { TokenEntry } from "../../schemas/types.ts"
import {
  apply,
  type ChoiceState,
  emptyState,
  type RequestState,
} from "../../streams/fold/requestState.ts"

export interface KeptChoice extends ChoiceState {
  readonly ids: ReadonlyArray<number>
  readonly texts: ReadonlyArray<string>
}

export interface KeptState extends RequestState {
  readonly choices: Array<KeptChoice>
}

export interface WrittenEntry {
  readonly writer: string
  readonly entry: TokenEntry
}

export const foldEntries = (entries: ReadonlyArray<WrittenEntry>): KeptState => {
  const state = emptyState()
  const events = entries.flatMap(({ writer, entry }) => apply(state, writer, entry))
  const tokens = events.filter((event) => event.kind === "token")
  const choices = state.choices.map((choice, index) => {
    const own = tokens.filter((token) => token.choice === index)
    return { ...choice, ids: own.map(({ id }) => id), texts: own.map(({ text }) => text) }
  })
  return { ...state, choices }
}
