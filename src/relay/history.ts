// Where a request's history begins in its token partition, and whether retention may have taken its
// beginning. Only evidence counts: a request that is merely old is not gone.
import { Effect } from "effect"
import type { LogError } from "../../streams/Log.ts"
import { requestTime } from "../../streams/requestId.ts"
import type { TokenLog } from "../../streams/TokenLog.ts"

export interface HistoryStart {
  readonly offset: number
  /**
   * Something as young as the request was removed: the history counts only if it has its beginning.
   */
  readonly mayLackBeginning: boolean
  /** Where the log ends: every cursor given out so far is of an event below it. */
  readonly end: number
}

export const historyStart = Effect.fnUntraced(function* (
  tokenLog: TokenLog["Service"],
  requestId: string,
): Effect.fn.Return<HistoryStart, LogError> {
  const partition = tokenLog.partitionOf(requestId)
  const offset = yield* tokenLog.startOf(requestId)
  const { first, next: end } = yield* tokenLog.bounds(partition)
  if (first === 0 || offset > first) return { offset, end, mayLackBeginning: false }
  const [oldest] = yield* tokenLog.readFrom(partition, first, 1)
  // Of a partition that is empty nobody can say how young the removed were.
  const mayLackBeginning = oldest === undefined || oldest.timestamp >= requestTime(requestId)
  return { offset, end, mayLackBeginning }
})
