// A bounded memory of ids: the newest `max` are known, older ones forgotten. Two halves that change
// places, so that it costs no more than a set.

export class RecentIds {
  readonly #halfMax: number
  #young = new Set<string>()
  #old = new Set<string>()

  constructor(max: number) {
    this.#halfMax = Math.max(1, max >> 1)
  }

  add(id: string): void {
    this.#young.add(id)
    if (this.#young.size < this.#halfMax) return
    this.#old = this.#young
    this.#young = new Set()
  }

  has(id: string): boolean {
    return this.#young.has(id) || this.#old.has(id)
  }
}
