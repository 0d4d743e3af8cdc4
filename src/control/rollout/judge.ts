// Whether a new version is worse than the old one by the numbers of the same window, and so goes
// back. Pure. A few bad requests are chance; a rate well above the old version's is not.
import type { VersionNumbers } from "./canary.ts"

/** Fewer say nothing. */
const samplesMin = 10
/** So many of a kind at least, and of those that ended a share above the old version's. */
const badMin = 3
const badShareOver = 0.02
const badShareTimes = 2
const ttftTimes = 1.5
const ttftMsOver = 100

const percent = (share: number) => `${(share * 100).toFixed(1)} %`

const worseShare = (what: string, bad: number, of: number, oldShare: number): string | null => {
  const share = of === 0 ? 0 : bad / of
  const allowed = oldShare * badShareTimes + badShareOver
  if (bad < badMin || share <= allowed) return null
  return `${what}: ${percent(share)} of ${of} requests, ${percent(oldShare)} on the old version`
}

const shareOf = (bad: number, of: number) => (of === 0 ? 0 : bad / of)

/** Why the new version must go back; null: nothing speaks against it. */
export const judge = (next: VersionNumbers, old: VersionNumbers): string | null => {
  const shares: ReadonlyArray<readonly [string, "failed" | "broken"]> = [
    ["failed", "failed"],
    ["broken answers", "broken"],
  ]
  for (const [what, kind] of shares) {
    const reason =
      next.ended < samplesMin
        ? null
        : worseShare(what, next[kind], next.ended, shareOf(old[kind], old.ended))
    if (reason !== null) return reason
  }
  const lost = worseShare(
    "workers lost",
    next.reclaimed,
    Math.max(next.requests, next.reclaimed),
    shareOf(old.reclaimed, old.requests),
  )
  if (lost !== null) return lost
  if (next.firstTokens < samplesMin || old.firstTokens < samplesMin) return null
  if (next.ttftMsP95 <= old.ttftMsP95 * ttftTimes + ttftMsOver) return null
  const [slow, usual] = [next.ttftMsP95, old.ttftMsP95].map((ms) => `${Math.round(ms)} ms`)
  return `time to first token, p95: ${slow}, ${usual} on the old version`
}
