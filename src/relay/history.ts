// Where a request's history begins in its token partition, and whether retention may have taken its
// beginning. Only evidence counts: a request that is merely old is not gone.
import { Clock, Effect } from "effect"
import type { LogError } from "../../streams/Log.ts"
import { requestTime } from "../../streams/requestId.ts"
import type { TokenLog } from "../../streams/TokenLog.ts"

export interface HistoryStart {
  readonly offset: number
  /**
   * Something as young as the request was removed: the history counts only if it has its beginning.
   */
  readonly mayLackBeginning: boolean
}

export const historyStart = Effect.fn("Relay.historyStart")(function* (
  tokenLog: TokenLog["Service"],
  requestId: string,
  retentionMs: number,
): Effect.fn.Return<HistoryStart, LogError> {
  const partition = tokenLog.partitionOf(requestId)
  const offset = yield* tokenLog.startOf(requestId)
  const { first } = yield* tokenLog.bounds(partition)
  if (first === 0 || offset > first) return { offset, mayLackBeginning: false }
  const [oldest] = yield* tokenLog.readFrom(partition, first, 1)
  const acceptedAt = requestTime(requestId)
  if (oldest !== undefined) return { offset, mayLackBeginning: oldest.timestamp >= acceptedAt }
  // An empty partition was emptied by age.
  const now = yield* Clock.currentTimeMillis
  return { offset, mayLackBeginning: acceptedAt < now - retentionMs }
})
