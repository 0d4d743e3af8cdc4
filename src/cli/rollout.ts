// `sluice rollout start|status|promote|pause|resume|rollback`: another version of the model in the
// place of the one that serves, by stages, watched. It only writes what is to happen; workers load,
// gateways route and decide.
import { resolve } from "node:path"
import { Clock, Effect, Option } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { duration, inTimeUnits } from "../config/setting.ts"
import { Control, ControlError } from "../control/Control.ts"
import type { VersionNumbers } from "../control/rollout/canary.ts"
import { observe } from "../control/rollout/Observation.ts"
import {
  phaseText,
  type RolloutAction,
  servingOf,
  startRollout,
  steerRollout,
} from "../control/rollout/steer.ts"
import { checkTopics } from "../../streams/checkTopics.ts"
import { Log } from "../../streams/Log.ts"
import { modelTopics } from "../../streams/topics.ts"
import { operator, runControl } from "./runControl.ts"
import type { Output } from "./topics.ts"
import { versionFault } from "./versionFolder.ts"

const minute = 60_000

/** The seed's: five minutes a stage, ten of grace. */
const times = {
  "stage-time": duration("--stage-time", [100, 1440 * minute], 5 * minute, ""),
  window: duration("--window", [100, 1440 * minute], minute, ""),
  grace: duration("--grace", [0, 1440 * minute], 10 * minute, ""),
}
const usualStages = "10,50,100"

const refuse = (message: string) => new ControlError({ reason: "refused", message })

const timeOf = (name: keyof typeof times, options: ReadonlyMap<string, string>) => {
  const given = options.get(name)
  if (given === undefined) return Effect.succeed(times[name].fallback)
  const decoded = times[name].decode(given)
  return Option.isSome(decoded)
    ? Effect.succeed(decoded.value)
    : Effect.fail(refuse(`--${name} must be ${times[name].expects}; found ${given}.`))
}

const stagesOf = (given: string) => {
  const stages = given.split(",").map((share) => Number(share.trim()))
  const isRising = stages.every(
    (share, i) => Number.isInteger(share) && share > (stages[i - 1] ?? 0) && share <= 100,
  )
  return isRising && stages.at(-1) === 100
    ? Effect.succeed(stages)
    : Effect.fail(refuse(`--stages are rising percents that end at 100; found ${given}.`))
}

/** In a folder topics are made as needed; on Kafka they are an operator's. */
const prepareTopics = Effect.fnUntraced(function* (config: ConfigShape, version: string) {
  const topics = modelTopics(config.servedModelName, version, config.log)
  if (config.kafka.length > 0) return yield* checkTopics(topics)
  return yield* (yield* Log).createTopics(topics)
})

const start = Effect.fnUntraced(function* (config: ConfigShape, asked: Asked) {
  const [to, folder] = asked.operands
  if (to === undefined || folder === undefined) {
    return yield* refuse("name the new version, and its folder.")
  }
  const { state } = yield* Control
  const model = config.servedModelName
  const own = { version: config.modelVersion, source: config.model }
  const serving = servingOf(state.rollout(model)) ?? own
  const source = resolve(folder)
  const fault = versionFault(source, serving.source)
  if (fault !== null) return yield* refuse(`${fault}.`)
  const stages = yield* stagesOf(asked.options.get("stages") ?? usualStages)
  const stageMs = yield* timeOf("stage-time", asked.options)
  const windowMs = asked.options.has("window")
    ? yield* timeOf("window", asked.options)
    : Math.min(times.window.fallback, stageMs)
  const graceMs = yield* timeOf("grace", asked.options)
  yield* prepareTopics(config, to)
  const change = {
    kind: "RolloutStarted" as const,
    ...{ model, from: serving.version, to, fromSource: serving.source, source },
    ...{ stages, stageMs, windowMs, graceMs },
  }
  yield* startRollout(change, operator())
  return [
    `version ${to} of ${model} is loaded beside ${serving.version}; then it takes ` +
      `${stages.join(" %, ")} % of the requests, ${inTimeUnits(stageMs)} each`,
    "sluice rollout status shows how it goes",
  ]
})

const numbersLine = (version: string, numbers: VersionNumbers): string => {
  const { requests, ended, failed, broken, reclaimed, ttftMsP50, ttftMsP95 } = numbers
  const first = `first token p50 ${Math.round(ttftMsP50)} ms, p95 ${Math.round(ttftMsP95)} ms`
  const bad = `${failed} failed, ${broken} broken, ${reclaimed} begun again`
  return `  ${version}: ${requests} requests, ${ended} ended, ${bad}; ${first}`
}

const instant = (ms: number) => new Date(ms).toISOString()

/** For what the log holds to be read. */
const readMs = 500

const status = Effect.fnUntraced(function* ({ servedModelName: model }: ConfigShape) {
  const { state } = yield* Control
  const rollout = state.rollout(model)
  if (rollout === null) return [`there was no rollout of ${model}.`]
  const { plan, startedAt, since, retired } = rollout
  const lines = [
    `${model}: ${phaseText(rollout)}`,
    `  from ${plan.from} to ${plan.to} (${plan.source}), begun ${instant(startedAt)}`,
    `  stages ${plan.stages.join(", ")} %, ${inTimeUnits(plan.stageMs)} each, judged every ` +
      `${inTimeUnits(plan.windowMs)}; this one since ${instant(since)}`,
  ]
  if (retired) return lines
  const numbers = yield* observe(rollout, () => {})
  yield* Effect.sleep(readMs)
  const now = yield* Clock.currentTimeMillis
  return [
    ...lines,
    "since this stage began:",
    ...[plan.from, plan.to].map((version) =>
      numbersLine(version, numbers.between(version, since, now)),
    ),
  ]
})

const steer = Effect.fnUntraced(function* (config: ConfigShape, action: RolloutAction) {
  const rollout = yield* steerRollout(config.servedModelName, action, operator())
  return [`${config.servedModelName}: ${phaseText(rollout)}`]
})

export interface Asked {
  readonly action: string
  readonly operands: ReadonlyArray<string>
  readonly options: ReadonlyMap<string, string>
}

/** Resolves to the exit code. */
export const rolloutCommand = (
  config: ConfigShape,
  asked: Asked,
  output: Output,
): Promise<number> => {
  switch (asked.action) {
    case "start":
      return runControl(config, start(config, asked), output)
    case "promote":
    case "pause":
    case "resume":
    case "rollback":
      return runControl(config, steer(config, asked.action), output)
    default:
      return runControl(config, status(config), output)
  }
}
