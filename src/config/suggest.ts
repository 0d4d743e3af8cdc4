// The known name that a mistyped one most likely meant; null where none is near.

const distance = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const change = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}

const plain = (name: string) => name.replace(/[^A-Za-z0-9]/g, "").toLowerCase()

export const suggest = (given: string, known: ReadonlyArray<string>): string | null => {
  // Names longer than any real one are not worth comparing.
  if (given.length > 64) return null
  let best: string | null = null
  let least = Math.max(2, Math.floor(given.length / 3)) + 1
  for (const name of known) {
    const far = distance(plain(given), plain(name))
    if (far < least) {
      least = far
      best = name
    }
  }
  return best
}

/** `; did you mean "x"?` or nothing. */
export const didYouMean = (given: string, known: ReadonlyArray<string>): string => {
  const near = suggest(given, known)
  return near === null ? "" : `; did you mean "${near}"?`
}
