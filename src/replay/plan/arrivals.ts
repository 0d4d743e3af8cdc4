// When each request is due, in ms since the start: as the trace says, faster or slower, or by a
// rate of its own. Due times depend on nothing that answers do: the load is an open loop.
import { seeded } from "./random.ts"

export type Arrivals =
  | { readonly kind: "trace"; readonly speed: number }
  | { readonly kind: "poisson" | "uniform"; readonly perSecond: number }
  /** As soon as there is room. */
  | { readonly kind: "closed" }

const pattern = /^(?:(poisson|uniform):)?(\d+(?:[.]\d+)?)$/

/** "poisson:50", "uniform:50", or "50", which is poisson; null where the text says none. */
export const parseRate = (text: string): Arrivals | null => {
  const found = pattern.exec(text.trim())
  const perSecond = Number(found?.[2])
  if (found === null || !(perSecond > 0)) return null
  return { kind: found[1] === "uniform" ? "uniform" : "poisson", perSecond }
}

/** The next request's due time, in order; null: as soon as there is room. */
export const dueTimes = (
  arrivals: Arrivals,
  seed: number,
): ((atMs: number | null) => number | null) => {
  if (arrivals.kind === "closed") return () => null
  if (arrivals.kind === "trace") return (atMs) => (atMs ?? 0) / arrivals.speed
  const random = seeded(seed)
  const meanMs = 1000 / arrivals.perSecond
  let dueMs = 0
  return () => {
    const now = dueMs
    dueMs += arrivals.kind === "uniform" ? meanMs : -Math.log(1 - random()) * meanMs
    return now
  }
}
