// What one seed chooses before anything happens: how many of whom, how the network is, which faults
// there are and how often, and what clients ask for. Some seeds are calm and some are rough: each
// fault is off in some of them, so that none always hides behind another.
import type { ScriptedOptions } from "../../src/generate/engine/ScriptedEngine.ts"
import { scriptedDefaults } from "../../src/generate/engine/ScriptedEngine.ts"
import type { ConfigShape } from "../../src/config/Config.ts"
import { defaults } from "../../src/config/settings.ts"
import type { Draw } from "./Simulation.ts"

const base = defaults()

/** What happens to machines and partitions, each about so often in a run. */
export interface Troubles {
  readonly kills: number
  readonly stops: number
  readonly leaves: number
  readonly gatewayKills: number
  readonly gatewayStops: number
  readonly leaderChanges: number
  readonly jumps: number
  readonly ghosts: number
  readonly storms: number
  readonly lags: number
  readonly slows: number
  readonly enginesLost: number
  readonly sequencesFailed: number
  readonly producedTwice: number
}

export interface Settings {
  /** Of requests that go on for long. */
  readonly long: number
  readonly workers: number
  readonly gateways: number
  readonly requests: number
  readonly requestPartitions: number
  readonly tokenPartitions: number
  /** Of the time in which things go wrong. */
  readonly roughMs: number
  readonly latencyMs: number
  readonly sessionMs: number
  readonly timeoutMs: number
  /** Probabilities of an append's fates. */
  readonly unsent: number
  readonly requestLost: number
  readonly ackLost: number
  readonly twice: number
  readonly late: number
  readonly commitLost: number
  readonly troubles: Troubles
  readonly cutting: number
  readonly slow: number
  readonly cancelling: number
  readonly leaving: number
  readonly poison: number
  readonly keyed: number
  readonly shortDeadline: number
  readonly retains: boolean
  readonly config: ConfigShape
  readonly engine: Omit<ScriptedOptions, "now">
}

/** Letters that stop strings are made of, or any bytes: then characters are cut at every seam. */
const vocabularies = [
  { firstId: 97, vocabSize: 101 },
  { firstId: 97, vocabSize: 123 },
  { firstId: 128, vocabSize: 256 },
]

/**
 * Long requests that several workers take from each other again and again: stopped, late, and left
 * without answers, with sessions far shorter than a generation.
 */
const duel = (draw: Draw, settings: Settings): Settings => ({
  ...settings,
  long: 0.9,
  workers: 2 + draw.below(2),
  requestPartitions: 1,
  sessionMs: draw.pick([15, 40, 100]),
  timeoutMs: draw.pick([10, 30]),
  ackLost: draw.between(0.1, 0.4),
  poison: 0,
  shortDeadline: 0,
  engine: { ...settings.engine, stepIntervalMs: draw.pick([5, 10]), tokensPerStep: 1 },
  config: {
    ...settings.config,
    worker: { ...settings.config.worker, flushMs: 1, claimsMax: 100 },
  },
  troubles: { ...settings.troubles, stops: 8, lags: 6, ghosts: 3, kills: draw.below(3), leaves: 0 },
})

export const drawSettings = (draw: Draw): Settings => {
  const settings = drawCommon(draw)
  return draw.chance(0.35) ? duel(draw, settings) : settings
}

const drawCommon = (draw: Draw): Settings => {
  const sometimes = (most: number, how = 0.5) => (draw.chance(how) ? 1 + draw.below(most) : 0)
  const rate = (most: number, how = 0.5) => (draw.chance(how) ? draw.between(0, most) : 0)
  const requestPartitions = 1 + draw.below(2)
  const worker = {
    ...base.worker,
    flushMs: draw.pick([0, 1, 4, 20]),
    drainMs: draw.pick([0, 50, 400]),
    claimsMax: 3,
    batchTokensMax: draw.pick([16, 64, 2048]),
  }
  return {
    long: 0.3,
    workers: 1 + draw.below(3),
    gateways: 1 + draw.below(3),
    requests: 2 + draw.below(6),
    requestPartitions,
    tokenPartitions: 1 + draw.below(2),
    roughMs: draw.between(300, 1_500),
    latencyMs: draw.pick([0.2, 1, 4]),
    sessionMs: draw.pick([200, 500, 1_200]),
    timeoutMs: draw.pick([20, 60, 150]),
    unsent: rate(0.1, 0.3),
    requestLost: rate(0.15, 0.3),
    ackLost: rate(0.2),
    twice: rate(0.2),
    late: rate(0.2),
    commitLost: rate(0.5, 0.3),
    troubles: {
      kills: sometimes(4),
      stops: sometimes(4),
      leaves: sometimes(2, 0.3),
      gatewayKills: sometimes(2, 0.3),
      gatewayStops: sometimes(2, 0.3),
      leaderChanges: sometimes(3, 0.4),
      jumps: sometimes(3, 0.3),
      ghosts: sometimes(3, 0.4),
      storms: sometimes(2, 0.3),
      lags: sometimes(6, 0.6),
      slows: sometimes(4, 0.4),
      enginesLost: sometimes(1, 0.2),
      sequencesFailed: sometimes(2, 0.2),
      producedTwice: sometimes(2, 0.3),
    },
    cutting: rate(1),
    slow: rate(1, 0.3),
    cancelling: rate(0.4, 0.4),
    leaving: rate(0.3, 0.3),
    poison: rate(0.5, 0.15),
    keyed: rate(0.8, 0.4),
    shortDeadline: rate(0.4, 0.3),
    retains: draw.chance(0.15),
    config: { ...base, servedModelName: "scripted", modelVersion: "1", worker },
    engine: {
      ...scriptedDefaults,
      ...draw.pick(vocabularies),
      eosIds: [0],
      sequencesMax: draw.pick([2, 4, 64]),
      waitingMax: draw.pick([0, 4, 64]),
      stepIntervalMs: draw.pick([2, 5, 15]),
      tokensPerStep: draw.pick([1, 1, 3]),
      contextTokensMax: 4096,
    },
  }
}
