// Points in time as people write them on a command line.
import { Option } from "effect"
import { duration } from "../../config/setting.ts"

const longestMs = 100 * 365 * 86_400_000

/** ISO 8601, ms since the epoch, or a span before now such as 2h; null where it is none. */
export const parseTime = (text: string, nowMs: number): number | null => {
  if (/^\d+$/.test(text)) return Number(text)
  const span = Option.getOrNull(duration("", [0, longestMs], 0, "").decode(text))
  if (span !== null) return nowMs - span
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : at
}
