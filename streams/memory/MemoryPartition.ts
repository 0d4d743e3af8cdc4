// One partition in memory: its records in offset order, and the rules by which they go again. Plain
// and synchronous; MemoryLog puts the port around it.
import type { AppendRecord, Bounds, LogRecord, TopicSpec } from "../Log.ts"

export class MemoryPartition {
  #spec: TopicSpec
  #records: Array<LogRecord> = []
  #first = 0
  #next = 0
  #bytes = 0

  constructor(spec: TopicSpec) {
    this.#spec = spec
  }

  /** Retention follows the topic's newest specification. */
  respecify(spec: TopicSpec): void {
    this.#spec = spec
  }

  get bounds(): Bounds {
    return { first: this.#first, next: this.#next }
  }

  /** The first record's offset. Values are copied: the caller's buffers stay its own. */
  append(records: ReadonlyArray<AppendRecord>, now: number): number {
    const base = this.#next
    const timestamp = Math.max(now, this.#records[this.#records.length - 1]?.timestamp ?? 0)
    for (const { key, value } of records) {
      if (this.#spec.cleanup === "compact") this.#drop((record) => record.key === key)
      this.#records.push({ offset: this.#next++, timestamp, key, value: new Uint8Array(value) })
      this.#bytes += value.length
    }
    return base
  }

  /** From `offset`, which is not below first, on. */
  read(offset: number, bytesMax: number): ReadonlyArray<LogRecord> {
    const from = this.#search((record) => record.offset >= offset)
    let bytes = 0
    let to = from
    while (to < this.#records.length) {
      bytes += this.#records[to]?.value.length ?? 0
      if (bytes > bytesMax && to > from) break
      to++
    }
    return this.#records.slice(from, to)
  }

  offsetAt(timestamp: number): number {
    const index = this.#search((record) => record.timestamp >= timestamp)
    return this.#records[index]?.offset ?? this.#next
  }

  /**
   * Drops what is older than the topic keeps, then the oldest until it is no larger than it may be.
   */
  retain(now: number): void {
    const { retentionMs, retentionBytes } = this.#spec
    let gone = this.#search((record) => record.timestamp >= now - retentionMs)
    let bytes = this.#bytes
    for (let i = 0; i < gone; i++) bytes -= this.#records[i]?.value.length ?? 0
    for (; bytes > retentionBytes && gone < this.#records.length; gone++) {
      bytes -= this.#records[gone]?.value.length ?? 0
    }
    if (gone === 0) return
    this.#records = this.#records.slice(gone)
    this.#bytes = bytes
    this.#first = this.#records[0]?.offset ?? this.#next
  }

  #drop(unwanted: (record: LogRecord) => boolean): void {
    this.#records = this.#records.filter((record) => !unwanted(record))
    this.#bytes = this.#records.reduce((sum, record) => sum + record.value.length, 0)
  }

  /** The first index for which it holds; it holds for every later one. */
  #search(holds: (record: LogRecord) => boolean): number {
    let low = 0
    let high = this.#records.length
    while (low < high) {
      const middle = (low + high) >> 1
      const record = this.#records[middle]
      if (record !== undefined && holds(record)) high = middle
      else low = middle + 1
    }
    return low
  }
}
