// Where a request's history begins in its token partition, and whether retention may have taken its
// beginning. Only evidence counts: a request that is merely old is not gone.
import { Effect } from "effect"
import type { LogError } from "../../streams/Log.ts"
import type { TokenLog } from "../../streams/TokenLog.ts"

export interface HistoryStart {
  readonly offset: number
  /**
   * Something perhaps as young as the request was removed, as far as clocks can tell: the history
   * counts only if it has its beginning.
   */
  readonly mayLackBeginning: boolean
  /** Where the log ends: every cursor given out so far is of an event below it. */
  readonly end: number
}

export const historyStart = Effect.fnUntraced(function* (
  tokenLog: TokenLog["Service"],
  requestId: string,
): Effect.fn.Return<HistoryStart, LogError> {
  const offset = yield* tokenLog.startOf(requestId)
  const { first, next: end } = yield* tokenLog.bounds(tokenLog.partitionOf(requestId))
  return { offset, end, mayLackBeginning: first > 0 && offset <= first }
})
