// The event stream parser of the HTML standard (section 9.2.6), written after its text and proved
// by the conformance cases under shared/hostile/sse: the judge of what our framer writes.
export interface SseEvent {
  readonly type: string
  readonly data: string
  readonly lastEventId: string
}

export class WhatwgSse {
  readonly events: Array<SseEvent> = []
  /** Blocks that a blank line ended, with how many data lines each had. */
  readonly blocks: Array<number> = []
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  #buffer = ""
  #started = false
  #data: Array<string> = []
  #type = ""
  #id = ""

  push(chunk: Uint8Array): void {
    this.#buffer += this.#decoder.decode(chunk, { stream: true })
    if (!this.#started && this.#buffer !== "") {
      this.#started = true
      if (this.#buffer.startsWith("\uFEFF")) this.#buffer = this.#buffer.slice(1)
    }
    for (;;) {
      const end = /\r\n|\n|\r(?=[^])/.exec(this.#buffer)
      if (end === null) return
      const line = this.#buffer.slice(0, end.index)
      this.#buffer = this.#buffer.slice(end.index + end[0].length)
      this.#line(line)
    }
  }

  /** The stream ended: a carriage return that waited for its line feed ends a line. */
  close(): void {
    if (this.#buffer.endsWith("\r")) this.#line(this.#buffer.slice(0, -1))
  }

  #line(line: string): void {
    if (line === "") return this.#dispatch()
    if (line.startsWith(":")) return
    const colon = line.indexOf(":")
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "")
    if (field === "data") this.#data.push(value)
    if (field === "event") this.#type = value
    if (field === "id" && !value.includes("\0")) this.#id = value
  }

  #dispatch(): void {
    this.blocks.push(this.#data.length)
    if (this.#data.length > 0) {
      this.events.push({
        type: this.#type || "message",
        data: this.#data.join("\n"),
        lastEventId: this.#id,
      })
    }
    this.#data = []
    this.#type = ""
  }
}
