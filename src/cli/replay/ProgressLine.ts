// One line that says how a run goes: rewritten in place on a terminal, else a line now and then.
import type { Progress } from "../../replay/run.ts"

const plainEveryMs = 10_000

export class ProgressLine {
  private readonly write: (line: string) => void
  private readonly inPlace: boolean
  private shownAt = performance.now()

  constructor(write: (line: string) => void, inPlace: boolean) {
    this.write = write
    this.inPlace = inPlace
  }

  show({ sent, ended, failed, late, inFlight }: Progress): void {
    const went = `${sent} sent, ${ended} ended, ${inFlight} in flight`
    const text = `${went}, ${failed} failed, ${late} late`
    if (this.inPlace) {
      process.stderr.write(`\r${text}\u001b[K`)
    } else if (performance.now() - this.shownAt >= plainEveryMs) {
      this.shownAt = performance.now()
      this.write(text)
    }
  }

  end(): void {
    if (this.inPlace) process.stderr.write("\r\u001b[K")
  }
}
