// Loads the product with one fault in it: a piece of a source file is replaced as the file is
// loaded. The product holds no hook for it, and a mutation whose text is no longer there is an
// error, so the list cannot grow stale unseen.
import { registerHooks } from "node:module"
import { pathToFileURL } from "node:url"
import { projectRoot } from "../support/shared.ts"

export interface Mutation {
  readonly name: string
  /** Of architecture section 9, in words. */
  readonly guards: string
  /** Relative to the project's root. */
  readonly file: string
  /** Stands there exactly once. */
  readonly find: string
  readonly replace: string
}

export const mutated = ({ name, file, find, replace }: Mutation, source: string): string => {
  const times = source.split(find).length - 1
  if (times !== 1) throw new Error(`${name}: its text stands ${times} times in ${file}`)
  return source.replace(find, () => replace)
}

/** Of modules that are loaded after it. */
export const mutate = (mutation: Mutation): void => {
  const url = new URL(mutation.file, pathToFileURL(`${projectRoot}/`)).href
  registerHooks({
    load: (asked, context, next) => {
      const loaded = next(asked, context)
      if (asked !== url) return loaded
      return { ...loaded, source: mutated(mutation, String(loaded.source)) }
    },
  })
}
