// Finds the first place where a text that arrives in pieces ends one of several stop strings, and
// how much of the text's end may yet become one. The answer does not depend on how the text was
// cut. One Knuth-Morris-Pratt automaton a stop string: linear in the text, whatever the strings
// are.

interface Automaton {
  readonly stop: string
  /** fallback[k]: the longest proper prefix of the first k units that is also their suffix. */
  readonly fallback: Uint32Array
  matched: number
}

export interface StopMatch {
  readonly stop: string
  /** Units of the piece up to and including the stop string's last. */
  readonly end: number
}

export interface StopMatcher {
  /**
   * Reads on. The match that ends first wins, of several that end together the longest; where
   * `mayStop` is false matches in this piece are passed over.
   */
  readonly read: (piece: string, mayStop: boolean) => StopMatch | null
  /** Units at the end of what was read that a stop string may begin with. */
  readonly heldUnits: () => number
}

const makeAutomaton = (stop: string): Automaton => {
  const fallback = new Uint32Array(stop.length + 1)
  let matched = 0
  for (let k = 1; k < stop.length; k++) {
    while (matched > 0 && stop.charCodeAt(k) !== stop.charCodeAt(matched)) {
      matched = fallback[matched]!
    }
    if (stop.charCodeAt(k) === stop.charCodeAt(matched)) matched++
    fallback[k + 1] = matched
  }
  return { stop, fallback, matched: 0 }
}

const advance = (automaton: Automaton, unit: number) => {
  const { stop, fallback } = automaton
  let matched = automaton.matched === stop.length ? fallback[stop.length]! : automaton.matched
  while (matched > 0 && stop.charCodeAt(matched) !== unit) matched = fallback[matched]!
  automaton.matched = stop.charCodeAt(matched) === unit ? matched + 1 : 0
}

/** What is held back must not count a string that is complete: it was passed over. */
const pending = ({ stop, fallback, matched }: Automaton) =>
  matched === stop.length ? fallback[matched]! : matched

/** Empty strings, and strings cut within a surrogate pair, can never be met and are left out. */
export const makeStopMatcher = (stops: ReadonlyArray<string>): StopMatcher => {
  const automata = stops.filter((stop) => stop !== "" && stop.isWellFormed()).map(makeAutomaton)
  return {
    read: (piece, mayStop) => {
      for (let i = 0; i < piece.length; i++) {
        const unit = piece.charCodeAt(i)
        let longest: string | null = null
        for (const automaton of automata) {
          advance(automaton, unit)
          if (automaton.matched === automaton.stop.length) {
            if (longest === null || automaton.stop.length > longest.length) longest = automaton.stop
          }
        }
        if (longest !== null && mayStop) return { stop: longest, end: i + 1 }
      }
      return null
    },
    heldUnits: () => automata.reduce((most, automaton) => Math.max(most, pending(automaton)), 0),
  }
}
