// Which version of a model a request goes to: as the rollout in force splits them, where there is
// one. A new version that no worker holds ready takes none: the old one serves instead.
import type { RequestAccepted } from "../../schemas/types.ts"
import { versionFor } from "../control/rollout/split.ts"
import type { RolloutState } from "../../streams/fold/rolloutState.ts"
import type { ServedModel } from "./ModelCatalog.ts"

export interface Choosing {
  readonly rollout: RolloutState | null
  readonly isReady: (version: string) => boolean
}

export const chooseVersion = (
  served: ServedModel,
  request: Pick<RequestAccepted, "requestId" | "promptCacheKey">,
  { rollout, isReady }: Choosing,
): string => {
  if (rollout === null) return served.version
  const { from, to } = rollout.plan
  const version = versionFor(rollout, request.promptCacheKey ?? request.requestId)
  const isOver = rollout.phase === "completed" || rollout.phase === "rolledBack"
  return version === to && !isOver && !isReady(to) && isReady(from) ? from : version
}
