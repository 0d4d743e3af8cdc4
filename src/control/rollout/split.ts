// Which version a request goes to while a rollout runs: by hash of its prompt-cache key, so that a
// conversation stays where it is, else of its id. Pure, and the same on every gateway; a key that
// was on the new version at 10 % is there at 50 %.
import { newShare, type RolloutState } from "../../../streams/fold/rolloutState.ts"
import { hashText } from "../../../streams/topics.ts"

/** Spreads what partitions are chosen by, so that a share of the requests is one of each. */
const mixed = (hash: number): number => {
  let h = hash ^ (hash >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** From 0 up to 100, evenly over keys. */
const percentOf = (key: string): number => (mixed(hashText(key)) / 2 ** 32) * 100

export const versionFor = (rollout: RolloutState, key: string): string =>
  percentOf(key) < newShare(rollout) ? rollout.plan.to : rollout.plan.from
