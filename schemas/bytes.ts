// Avro's binary primitives over a byte buffer, for the codecs. The reader is total: bytes that end
// early, counts that cannot fit and numbers out of range set `damaged` and yield zeros, and whoever
// reads asks once at the end. It allocates nothing that the bytes it was given do not pay for.

const shortText = 48

/** Grows as needed and is used again for every value: `bytes()` copies out what was written. */
export class ByteWriter {
  private buffer = Buffer.allocUnsafeSlow(64 * 1024)
  private length = 0

  reset(): void {
    this.length = 0
  }

  bytes(): Uint8Array {
    const copy = Buffer.allocUnsafe(this.length)
    this.buffer.copy(copy, 0, 0, this.length)
    return copy
  }

  byte(value: number): void {
    this.room(1)
    this.buffer[this.length++] = value
  }

  uint32(value: number): void {
    this.room(4)
    this.length = this.buffer.writeUInt32BE(value, this.length)
  }

  /** A 32-bit whole number, zigzag and varint. */
  int(value: number): void {
    this.room(5)
    let rest = ((value << 1) ^ (value >> 31)) >>> 0
    while (rest > 0x7f) {
      this.buffer[this.length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.buffer[this.length++] = rest
  }

  /**
   * A whole number within +-2^53; doubling it could lose its last bit, so the first byte is made
   * apart.
   */
  long(value: number): void {
    this.room(10)
    const positive = value < 0 ? -(value + 1) : value
    const low = ((positive % 64) << 1) | (value < 0 ? 1 : 0)
    let rest = Math.floor(positive / 64)
    this.buffer[this.length++] = rest > 0 ? low | 0x80 : low
    while (rest > 0) {
      const next = Math.floor(rest / 128)
      this.buffer[this.length++] = next > 0 ? (rest % 128) | 0x80 : rest
      rest = next
    }
  }

  float(value: number): void {
    this.room(4)
    this.length = this.buffer.writeFloatLE(value, this.length)
  }

  string(text: string): void {
    const count = text.length
    this.room(5 + count * 3)
    if (count > shortText || !this.ascii(text)) {
      this.int(Buffer.byteLength(text))
      this.length += this.buffer.write(text, this.length)
    }
  }

  /** False, and nothing written, where the text has a character above U+007F. */
  private ascii(text: string): boolean {
    const start = this.length
    this.int(text.length)
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) {
        this.length = start
        return false
      }
      this.buffer[this.length++] = code
    }
    return true
  }

  private room(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.length + bytes))
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }
}

/** Reads what ByteWriter and any other Avro writer wrote. */
export class ByteReader {
  damaged = false
  private buffer: Buffer
  private at: number
  /** Of the bytes that skipBytes passed over last. */
  private textLength = 0

  constructor(bytes: Uint8Array, start = 0) {
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.at = start
  }

  /** True when every byte was read and none was damaged. */
  ended(): boolean {
    return !this.damaged && this.at === this.buffer.length
  }

  int(): number {
    let shift = 0
    let zigzag = 0
    let byte = 0
    do {
      if (shift > 28 || this.at >= this.buffer.length) return this.damage()
      byte = this.buffer[this.at++] ?? 0
      if (shift === 28 && byte > 0x0f) return this.damage()
      zigzag |= (byte & 0x7f) << shift
      shift += 7
    } while (byte > 0x7f)
    return (zigzag >>> 1) ^ -(zigzag & 1)
  }

  long(): number {
    if (this.at >= this.buffer.length) return this.damage()
    let byte = this.buffer[this.at++] ?? 0
    const negative = (byte & 1) === 1
    let value = (byte & 0x7f) >> 1
    let scale = 64
    while (byte > 0x7f) {
      if (this.at >= this.buffer.length || scale > 2 ** 62) return this.damage()
      byte = this.buffer[this.at++] ?? 0
      value += (byte & 0x7f) * scale
      scale *= 128
    }
    if (value > Number.MAX_SAFE_INTEGER) return this.damage()
    return negative ? -value - 1 : value
  }

  float(): number {
    if (this.at + 4 > this.buffer.length) return this.damage()
    this.at += 4
    return this.buffer.readFloatLE(this.at - 4)
  }

  boolean(): boolean {
    const byte = this.buffer[this.at] ?? 2
    this.at++
    if (byte > 1) this.damage()
    return byte === 1
  }

  string(): string {
    const end = this.skipBytes()
    const first = end - this.textLength
    if (this.textLength <= 12) {
      let text = ""
      for (let i = first; i < end; i++) {
        const code = this.buffer[i] ?? 0
        if (code > 0x7f) return this.buffer.toString("utf8", first, end)
        text += String.fromCharCode(code)
      }
      return text
    }
    return this.buffer.toString("utf8", first, end)
  }

  /** Passes over a length and as many bytes; returns where they end. */
  skipBytes(): number {
    const length = this.int()
    if (length < 0 || length > this.buffer.length - this.at) this.damage()
    this.textLength = this.damaged ? 0 : length
    this.at += this.textLength
    return this.at
  }

  skip(bytes: number): void {
    if (bytes > this.buffer.length - this.at) this.damage()
    else this.at += bytes
  }

  /**
   * The number of items of an array's next block; 0 ends the array. Each item takes a byte at
   * least, so that a count above the bytes left is damage and never an allocation.
   */
  block(): number {
    let count = this.long()
    if (count < 0) {
      count = -count
      this.long()
    }
    return count > this.buffer.length - this.at ? this.damage() : count
  }

  /** From here on nothing is read: every loop over the bytes ends. */
  damage(): 0 {
    this.damaged = true
    this.at = this.buffer.length
    return 0
  }
}
