// Reads the target's metrics page once a second beside the load; a page that does not come is a gap
// in the lines, and no more.
import { readSamples } from "../../replay/scrape/prometheus.ts"
import { Series } from "../../replay/scrape/Series.ts"
import type { ScrapedSeries } from "../../replay/report/Report.ts"

const everyMs = 1000

export class Scraper {
  private readonly series = new Series()
  private readonly url: string | null
  private timer: NodeJS.Timeout | null = null

  /** null: nothing is read. */
  constructor(url: string | null) {
    this.url = url
  }

  /** `zeroMs`: the time line's 0, in ms since the epoch. */
  start(zeroMs: number): void {
    const { url } = this
    if (url === null) return
    const read = async () => {
      const answer = await fetch(url, { signal: AbortSignal.timeout(everyMs) })
      const page = answer.ok ? await answer.text() : ""
      this.series.add(performance.timeOrigin + performance.now() - zeroMs, readSamples(page))
    }
    this.timer = setInterval(() => void read().catch(() => {}), everyMs)
  }

  stop(): ReadonlyArray<ScrapedSeries> {
    if (this.timer !== null) clearInterval(this.timer)
    return this.series.toData()
  }
}
