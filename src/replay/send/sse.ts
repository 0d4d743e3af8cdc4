// Server-sent events out of bytes cut anywhere, as the WHATWG's HTML standard reads them: the data
// of each event, and its name. Lines end with LF, CR or both; an event without data is none; what
// the stream ends in the middle of is not given out. Ids and retry times mean nothing to a load.
import { StringDecoder } from "node:string_decoder"

/** Of one event's text: a whole answer in one event fits many times over. */
export const eventCharactersMax = 4 * 1024 * 1024

export class SseReader {
  /** Set once, when an event is too long: nothing is given out from then on. */
  oversized = false
  private readonly onEvent: (data: string, name: string) => void
  private readonly decoder = new StringDecoder("utf8")
  private rest = ""
  private data: string | null = null
  private name = ""
  private atStart = true
  private afterReturn = false

  constructor(onEvent: (data: string, name: string) => void) {
    this.onEvent = onEvent
  }

  /** True where an event has begun and not ended. */
  get isMidEvent(): boolean {
    return this.rest !== "" || this.data !== null
  }

  feed(bytes: Buffer): void {
    let text = this.decoder.write(bytes)
    if (text === "" || this.oversized) return
    if (this.atStart) {
      this.atStart = false
      if (text.startsWith("\uFEFF")) text = text.slice(1)
    }
    // The LF of a CR LF that was cut between the two.
    if (this.afterReturn && text.startsWith("\n")) text = text.slice(1)
    this.afterReturn = text.endsWith("\r")
    const all = this.rest === "" ? text : this.rest + text
    const returns = all.includes("\r")
    let from = 0
    for (;;) {
      const end = lineEnd(all, from, returns)
      if (end < 0) break
      this.line(all.slice(from, end))
      from = end + (all[end] === "\r" && all[end + 1] === "\n" ? 2 : 1)
    }
    this.rest = all.slice(from)
    this.oversized = this.rest.length + (this.data?.length ?? 0) > eventCharactersMax
  }

  private line(line: string): void {
    if (line === "") {
      const { data, name } = this
      this.data = null
      this.name = ""
      if (data !== null) this.onEvent(data, name)
      return
    }
    if (line.startsWith("data")) {
      const value = line[4] === ":" ? line.slice(line[5] === " " ? 6 : 5) : null
      if (value === null && line !== "data") return
      this.data = this.data === null ? (value ?? "") : `${this.data}\n${value ?? ""}`
    } else if (line.startsWith("event:")) {
      this.name = line.slice(line[6] === " " ? 7 : 6)
    } else if (line === "event") this.name = ""
  }
}

/** `returns`: whether there is a CR at all, so that a text without one is searched once. */
const lineEnd = (text: string, from: number, returns: boolean): number => {
  const feed = text.indexOf("\n", from)
  const carriage = returns ? text.indexOf("\r", from) : -1
  if (carriage < 0) return feed
  return feed < 0 ? carriage : Math.min(feed, carriage)
}
