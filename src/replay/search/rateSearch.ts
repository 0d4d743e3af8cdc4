// The highest rate at which a share of requests keeps its objectives, by doubling and then halving
// the distance. A probe only counts when it has seen enough to be sure: the share's own interval
// must lie on one side of the goal, else it is probed again, and what stays unsure does not hold.
// Pure: it is told what a probe found, and says what to probe next.

export interface SearchOptions {
  readonly startPerSecond: number
  /** Of the requests that are due, this share must keep every objective. */
  readonly goal: number
  /** It ends when the highest rate that holds and the lowest that does not are so near. */
  readonly withinShare: number
}

export interface Probe {
  readonly perSecond: number
  readonly due: number
  readonly good: number
}

export type Verdict = "holds" | "fails" | "unsure"

export interface SearchState {
  readonly options: SearchOptions
  readonly probes: ReadonlyArray<Probe>
  /** The highest rate that held; 0: none yet. */
  readonly holds: number
  /** The lowest that did not; null: none yet. */
  readonly fails: number | null
  /** Of the rate that is being probed. */
  readonly due: number
  readonly good: number
  readonly tries: number
  /** null: it is over. */
  readonly next: number | null
}

const triesMax = 3
const probesMax = 40
const rateMax = 100_000
const rateMin = 0.01
/** Of a normal distribution: 95 % lie within. */
const z = 1.96

/** Wilson's interval of a share. */
export const shareInterval = (good: number, due: number): readonly [low: number, high: number] => {
  if (due === 0) return [0, 1]
  const share = good / due
  const middle = share + (z * z) / (2 * due)
  const half = z * Math.sqrt((share * (1 - share)) / due + (z * z) / (4 * due * due))
  const whole = 1 + (z * z) / due
  return [Math.max(0, (middle - half) / whole), Math.min(1, (middle + half) / whole)]
}

export const judge = (good: number, due: number, goal: number): Verdict => {
  const [low, high] = shareInterval(good, due)
  return low >= goal ? "holds" : high < goal ? "fails" : "unsure"
}

/** How many requests a probe needs to be able to hold at all, were all of them good. */
export const requestsNeeded = (goal: number): number => {
  let due = 1
  while (judge(due, due, goal) !== "holds" && due < 1e6) due = Math.ceil(due * 1.05) + 1
  return due
}

export const startSearch = (options: SearchOptions): SearchState => ({
  options,
  probes: [],
  holds: 0,
  fails: null,
  due: 0,
  good: 0,
  tries: 0,
  next: options.startPerSecond,
})

const nextRate = (holds: number, fails: number | null, { withinShare }: SearchOptions) => {
  if (fails === null) return holds * 2 > rateMax ? null : holds * 2
  if (holds === 0) return fails / 4 < rateMin ? null : fails / 4
  // Rates differ by factors: the middle is the geometric one.
  return fails / holds <= 1 + withinShare ? null : Math.sqrt(fails * holds)
}

export const afterProbe = (state: SearchState, probe: Probe): SearchState => {
  const { options } = state
  const probes = [...state.probes, probe]
  const due = state.due + probe.due
  const good = state.good + probe.good
  const tries = state.tries + 1
  const verdict = judge(good, due, options.goal)
  if (verdict === "unsure" && tries < triesMax) return { ...state, probes, due, good, tries }
  const held = verdict === "holds"
  const holds = held ? Math.max(state.holds, probe.perSecond) : state.holds
  const fails = held ? state.fails : Math.min(state.fails ?? Infinity, probe.perSecond)
  const next = probes.length >= probesMax ? null : nextRate(holds, fails, options)
  return { options, probes, holds, fails, due: 0, good: 0, tries: 0, next }
}
