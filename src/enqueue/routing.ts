// Which version's topics a request goes to, how wide they are, and where in them it is at home
// whatever the workers' state: what every gateway makes of the same request alike.
import { Clock, Effect } from "effect"
import type { RequestAccepted, Tier } from "../../schemas/types.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { requestTopic, tiers } from "../../streams/topics.ts"
import { Rollouts } from "../control/rollout/Rollouts.ts"
import type { RequestDraft } from "./Enqueue.ts"
import type { ServedModel } from "./ModelCatalog.ts"
import { affinityKey, homePartition } from "./partition.ts"
import { chooseVersion } from "./version.ts"
import { Workers } from "./Workers.ts"

export type Widths = ReadonlyMap<Tier, number>

export const homeOf = (
  request: Pick<RequestAccepted, "promptCacheKey" | "prompts" | "tier">,
  widths: Widths,
) => homePartition(affinityKey(request), widths.get(request.tier) ?? 1)

/** How wide the tiers' topics of a version are; looked up once. */
const makeWidths = (log: RequestLog["Service"], { name }: ServedModel) => {
  const known = new Map<string, Widths>()
  return Effect.fnUntraced(function* (version: string) {
    const there = known.get(version)
    if (there !== undefined) return there
    const widths = new Map<Tier, number>()
    for (const tier of tiers) widths.set(tier, yield* log.partitions(name, version, tier))
    known.set(version, widths)
    return widths
  })
}

export const makeRouting = Effect.fnUntraced(function* (served: ServedModel) {
  const log = yield* RequestLog
  const workers = yield* Workers
  const rollouts = yield* Rollouts
  const widthsOf = makeWidths(log, served)
  // A version without topics is missed at the start, not by the first request.
  yield* widthsOf(served.version)

  const versionOf = ({ promptCacheKey }: RequestDraft, requestId: string, now: number) =>
    chooseVersion(
      served,
      { requestId, promptCacheKey },
      { rollout: rollouts.of(served.name), isReady: (version) => workers.isReady(version, now) },
    )

  const findAtHome = Effect.fnUntraced(function* (draft: RequestDraft, requestId: string) {
    const version = versionOf(draft, requestId, yield* Clock.currentTimeMillis)
    const topic = requestTopic(served.name, version, draft.tier)
    const { partition } = homeOf(draft, yield* widthsOf(version))
    return yield* log.findAt({ topic, partition }, requestId)
  })

  return { versionOf, widthsOf, findAtHome }
})
