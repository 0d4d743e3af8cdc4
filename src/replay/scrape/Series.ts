// Values over time, never more than 240 a name: when there are more, every second one goes and from
// then on only every second is kept, so that a week's run has as many as a minute's.
import type { ScrapedSeries } from "../report/Report.ts"

const pointsMax = 240

export class Series {
  private readonly points = new Map<string, Array<readonly [number, number]>>()
  private keepEvery = 1
  private seen = 0

  add(atMs: number, values: ReadonlyMap<string, number>): void {
    if (this.seen++ % this.keepEvery !== 0) return
    for (const [name, value] of values) {
      const own = this.points.get(name) ?? []
      own.push([atMs, value])
      this.points.set(name, own)
    }
    const most = Math.max(0, ...[...this.points.values()].map(({ length }) => length))
    if (most <= pointsMax) return
    this.keepEvery *= 2
    for (const [name, own] of this.points) {
      this.points.set(
        name,
        own.filter((_, i) => i % 2 === 0),
      )
    }
  }

  toData(): ReadonlyArray<ScrapedSeries> {
    return [...this.points].map(([name, points]) => ({ name, points }))
  }
}
