// A text that grows by a few characters at a time. Thousands of answers grow at once and live for
// seconds: a string a token, and one more for each concatenation, would all be moved by the
// collector again and again, so pieces are joined into one flat string now and then.

const piecesMax = 32

export class GrowingText {
  #text: string
  #pieces: Array<string> = []

  constructor(start = "") {
    this.#text = start
  }

  add(piece: string): void {
    if (piece !== "" && this.#pieces.push(piece) >= piecesMax) this.#join()
  }

  get text(): string {
    this.#join()
    return this.#text
  }

  #join(): void {
    if (this.#pieces.length === 0) return
    this.#text += this.#pieces.join("")
    this.#pieces = []
  }
}
