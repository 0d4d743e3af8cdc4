// Service level objectives of one request, from a text such as "ttft=100ms,itl=50ms,e2e=5s".

export interface Objectives {
  /** From when the request was due to its first token. */
  readonly ttftMs: number | null
  /** The mean time of a token after the first: what vLLM calls tpot. */
  readonly itlMs: number | null
  /** The longest wait between two pieces of the answer. */
  readonly gapMs: number | null
  readonly e2eMs: number | null
}

export const noObjectives: Objectives = { ttftMs: null, itlMs: null, gapMs: null, e2eMs: null }

const names: Readonly<Record<string, keyof Objectives>> = {
  ttft: "ttftMs",
  itl: "itlMs",
  tpot: "itlMs",
  gap: "gapMs",
  e2e: "e2eMs",
  e2el: "e2eMs",
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, "": 1 }

const one = /^(\w+)=(\d+(?:[.]\d+)?)(ms|s|m|h|)$/

/** null where the text says something else. */
export const parseObjectives = (text: string): Objectives | null => {
  const found: { -readonly [K in keyof Objectives]: Objectives[K] } = { ...noObjectives }
  for (const part of text.split(",")) {
    const [, name = "", amount = "", unit = ""] = one.exec(part.trim()) ?? []
    const key = names[name]
    if (key === undefined) return null
    found[key] = Number(amount) * (units[unit] ?? 1)
  }
  return found
}

/** A request's measures, of which null ones are not known and so do not fail. */
export interface Measured {
  readonly ttftMs: number
  readonly itlMs: number | null
  readonly gapMs: number | null
  readonly e2eMs: number
}

const within = (measured: number | null, bound: number | null) =>
  bound === null || measured === null || measured <= bound

export const meets = (objectives: Objectives, measured: Measured): boolean =>
  within(measured.ttftMs, objectives.ttftMs) &&
  within(measured.itlMs, objectives.itlMs) &&
  within(measured.gapMs, objectives.gapMs) &&
  within(measured.e2eMs, objectives.e2eMs)
