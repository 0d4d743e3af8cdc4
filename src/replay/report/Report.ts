// What a run of load comes to: everything that the table, the page, the comparison and the JSON
// file show, and nothing that would have to be measured again. It is data: files of it are read
// back by `sluice replay compare`.
import { Predicate, Result } from "effect"
import type { Objectives } from "../measure/objectives.ts"
import { Tally, type TallyData } from "../measure/Tally.ts"
import { Timeline } from "../measure/Timeline.ts"

/** A value that the target's own metrics had over time. */
export interface ScrapedSeries {
  readonly name: string
  readonly points: ReadonlyArray<readonly [atMs: number, value: number]>
}

export interface VerifyData {
  readonly compared: number
  readonly equal: number
  /** Nothing to compare with: failed when recorded, cut short, or redacted. */
  readonly skipped: number
  readonly failed: number
  /** The first ones only. */
  readonly divergences: ReadonlyArray<Divergence>
}

export interface Divergence {
  readonly id: string
  readonly choice: number
  /** The first token that differs, or character where there are no ids. */
  readonly position: number
  readonly unit: "token" | "character"
  readonly expected: string
  readonly found: string
}

export interface ReportData {
  readonly version: 1
  readonly name: string
  readonly target: string
  readonly model: string
  /** ISO 8601. */
  readonly startedAt: string
  readonly load: string
  readonly objectives: Objectives
  readonly lateMs: number
  /** From the start (after warming up) to the last answer's end. */
  readonly durationMs: number
  /** It was stopped before its plan's end. */
  readonly stopped: boolean
  readonly processes: number
  readonly notes: ReadonlyArray<string>
  readonly tally: TallyData
  readonly scraped: ReadonlyArray<ScrapedSeries>
  readonly verify: VerifyData | null
}

const isReport = (value: unknown): value is ReportData =>
  Predicate.hasProperty(value, "version") &&
  value.version === 1 &&
  Predicate.hasProperty(value, "tally") &&
  Predicate.hasProperty(value.tally, "timeline") &&
  Predicate.hasProperty(value.tally.timeline, "bins") &&
  Array.isArray(value.tally.timeline.bins)

/** Of a file that `--json` wrote; null where it is none. */
export const parseReport = (text: string): ReportData | null => {
  const value = Result.getOrUndefined(Result.try((): unknown => JSON.parse(text)))
  const inner = Predicate.hasProperty(value, "sluice") ? value.sluice : null
  return isReport(inner) ? inner : null
}

/** Its tally as it was counted. */
export const tallyOf = ({ tally, objectives, lateMs }: ReportData): Tally =>
  new Tally(objectives, lateMs, new Timeline(tally.timeline.widthMs)).add(tally)
