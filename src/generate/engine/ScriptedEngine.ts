// The engine's twin without a model: ids are a function of (prompt, position, seed), time comes
// from a step interval. It keeps the whole contract of Engine (limits, refusals, stop and end-of-
// sequence ids, cancel, adoption) and is cheap enough to measure everything around an engine. Tests
// also step it by hand, fail a sequence and lose the engine. Not kept: prefix hits and preemptions,
// which are always 0.
import { Clock, Effect, Layer } from "effect"
import { Engine, type EngineSequence, type EngineStats, type SubmitRefusal } from "./Engine.ts"
import { admissible, type SubmitLimits } from "./admissible.ts"
import { advance, endedBefore, type ScriptedSequence, startScript } from "./scriptedSequence.ts"
import { readStep, type StepOutput } from "./stepOutput.ts"
import { makeStepWriter } from "./stepWriter.ts"

export interface ScriptedOptions {
  readonly model: string
  readonly vocabSize: number
  /** Ids below it are drawn only where a bias asks for one. */
  readonly firstId: number
  readonly eosIds: ReadonlyArray<number>
  readonly contextTokensMax: number
  readonly sequencesMax: number
  readonly waitingMax: number
  /** 0: as fast as the event loop goes; null: only by `step()`. */
  readonly stepIntervalMs: number | null
  readonly tokensPerStep: number
  readonly now: () => number
}

/** 100 tokens a second a stream. */
export const scriptedDefaults: Omit<ScriptedOptions, "now"> = {
  model: "scripted",
  vocabSize: 4096,
  firstId: 16,
  eosIds: [1],
  contextTokensMax: 8192,
  sequencesMax: 4096,
  waitingMax: 65_536,
  stepIntervalMs: 10,
  tokensPerStep: 1,
}

export interface ScriptedEngine {
  readonly engine: Engine["Service"]
  /** Runs one step now; false where nothing was live. */
  readonly step: () => boolean
  /** Ends the sequence with finish "failed" at the next step. */
  readonly fail: (sequence: number) => void
  readonly lose: (message: string) => void
  readonly close: () => void
}

const blockTokens = 16
/** Later than this many intervals behind, the schedule starts afresh instead of catching up. */
const intervalsBehindMax = 10

interface State {
  readonly options: ScriptedOptions
  readonly limits: SubmitLimits
  readonly live: Map<number, ScriptedSequence>
  readonly writer: ReturnType<typeof makeStepWriter>
  readonly stepListeners: Array<(step: StepOutput) => void>
  readonly lostListeners: Array<(message: string) => void>
  running: Array<ScriptedSequence>
  waiting: Array<ScriptedSequence>
  open: boolean
  steps: number
  tokensHeld: number
  promptTokens: number
  lastStepAt: number
  dueAt: number
  stopTimer: (() => void) | null
}

export const makeScriptedEngine = (options: ScriptedOptions): ScriptedEngine => {
  const blocks = Math.ceil(options.contextTokensMax / blockTokens) * options.sequencesMax
  const state: State = {
    options,
    limits: { ...options, positionsMax: blocks * blockTokens },
    live: new Map(),
    writer: makeStepWriter(),
    stepListeners: [],
    lostListeners: [],
    running: [],
    waiting: [],
    open: true,
    steps: 0,
    tokensHeld: 0,
    promptTokens: 0,
    lastStepAt: 0,
    dueAt: 0,
    stopTimer: null,
  }
  const close = (): void => {
    state.open = false
    state.stopTimer?.()
    state.stopTimer = null
  }
  return {
    engine: Engine.of({
      info: {
        model: options.model,
        device: "scripted",
        dtype: "none",
        vocabSize: options.vocabSize,
        contextTokensMax: options.contextTokensMax,
        sequencesMax: options.sequencesMax,
        blocks,
        blockTokens,
        eosIds: options.eosIds,
      },
      submit: (sequence) => submit(state, sequence),
      cancel: (sequence) => end(state, sequence, "cancelled"),
      onStep: (listener) => void state.stepListeners.push(listener),
      onLost: (listener) => void state.lostListeners.push(listener),
      stats: () => stats(state, blocks),
      devices: () => [],
    }),
    step: () => step(state, blocks),
    fail: (sequence) => end(state, sequence, "failed"),
    lose: (message) => {
      if (!state.open) return
      close()
      for (const listener of state.lostListeners) listener(message)
    },
    close,
  }
}

const submit = (state: State, sequence: EngineSequence): SubmitRefusal | null => {
  if (!state.open) return "closed"
  if (state.live.has(sequence.sequence)) return "invalid"
  // It says what it likes.
  if (sequence.grammar !== null) return "unsupported"
  const refusal = admissible(sequence, state.limits)
  if (refusal !== null) return refusal
  const { sequencesMax, waitingMax } = state.options
  if (state.live.size >= sequencesMax + waitingMax) return "queueFull"
  const script = startScript(sequence)
  state.live.set(sequence.sequence, script)
  state.waiting.push(script)
  schedule(state)
  return null
}

const end = (state: State, sequence: number, finish: "cancelled" | "failed"): void => {
  const script = state.live.get(sequence)
  if (script === undefined) return
  script.endBy ??= finish
  schedule(state)
}

const step = (state: State, blocks: number): boolean => {
  if (!state.open || state.live.size === 0) return false
  const startedAt = state.options.now()
  admitWaiting(state)
  const batchSequences = state.running.length
  const kept: Array<ScriptedSequence> = []
  let batchTokens = 0
  for (const script of state.running) {
    const entry = advance(script, state.options)
    batchTokens += entry.ids.length
    state.tokensHeld += entry.ids.length
    state.writer.entry(entry)
    if (entry.finish === null) kept.push(script)
    else {
      state.live.delete(script.source.sequence)
      state.tokensHeld -= script.promptTokens + script.position
    }
  }
  state.running = kept
  state.steps++
  state.lastStepAt = state.options.now()
  const packed = state.writer.finish({
    step: state.steps,
    batchTokens,
    batchSequences,
    running: state.running.length,
    waiting: state.waiting.length,
    preempted: 0,
    blocksFree: blocksFree(state, blocks),
    blocks,
    durationUs: Math.max(0, state.lastStepAt - startedAt) * 1000,
  })
  const output = readStep(packed)
  for (const listener of state.stepListeners) listener(output)
  return true
}

const blocksFree = (state: State, blocks: number): number =>
  Math.max(0, blocks - Math.ceil(state.tokensHeld / blockTokens))

/** Best first: priority, then arrival. What ended while it waited goes through too, to say so. */
const admitWaiting = (state: State): void => {
  const isNext = (script: ScriptedSequence): boolean => endedBefore(script, state.options) !== null
  if (state.waiting.length > 1) {
    state.waiting.sort(
      (a, b) =>
        Number(isNext(b)) - Number(isNext(a)) ||
        a.source.priority - b.source.priority ||
        a.source.arrivedAt - b.source.arrivedAt,
    )
  }
  let taken = 0
  for (const script of state.waiting) {
    if (state.running.length >= state.options.sequencesMax && !isNext(script)) break
    state.running.push(script)
    state.tokensHeld += script.promptTokens + script.position
    state.promptTokens += script.promptTokens
    taken++
  }
  if (taken > 0) state.waiting = state.waiting.slice(taken)
}

const schedule = (state: State): void => {
  const interval = state.options.stepIntervalMs
  if (interval === null || state.stopTimer !== null || !state.open) return
  const run = (): void => {
    state.stopTimer = null
    step(state, blocksOf(state))
    if (state.live.size > 0) schedule(state)
  }
  if (interval === 0) {
    const immediate = setImmediate(run)
    state.stopTimer = () => clearImmediate(immediate)
    return
  }
  const now = state.options.now()
  const isBehind = state.dueAt < now - intervalsBehindMax * interval
  state.dueAt = isBehind ? now + interval : state.dueAt + interval
  const timer = setTimeout(run, Math.max(0, state.dueAt - now))
  state.stopTimer = () => clearTimeout(timer)
}

const blocksOf = (state: State): number => state.limits.positionsMax / blockTokens

const stats = (state: State, blocks: number): EngineStats => ({
  running: state.running.length,
  waiting: state.waiting.length,
  blocksFree: blocksFree(state, blocks),
  blocks,
  steps: state.steps,
  prefixHitTokens: 0,
  promptTokens: state.promptTokens,
  preemptions: 0,
  masks: 0,
  maskUsP50: 0,
  maskUsP99: 0,
  lastStepAt: state.lastStepAt,
})

export const layerScripted = (
  options: Partial<Omit<ScriptedOptions, "now">> = {},
): Layer.Layer<Engine> =>
  Layer.effect(
    Engine,
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const now = () => clock.currentTimeMillisUnsafe()
      const scripted = yield* Effect.acquireRelease(
        Effect.sync(() => makeScriptedEngine({ ...scriptedDefaults, ...options, now })),
        (made) => Effect.sync(() => made.close()),
      )
      return scripted.engine
    }),
  )
