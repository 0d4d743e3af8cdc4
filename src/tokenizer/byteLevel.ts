// GPT-2's byte alphabet: byte-level vocabularies spell each byte as one printable character, the
// printable ones of Latin-1 as themselves and the 68 others as U+0100 and up.

const isPrintable = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae

/** byteOf[c]: the byte that U+c stands for, or -1. */
const byteOf: Int16Array = (() => {
  const table = new Int16Array(0x100 + 68).fill(-1)
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) table[isPrintable(byte) ? byte : next++] = byte
  return table
})()

const characterOf: ReadonlyArray<string> = (() => {
  const table = new Array<string>(256).fill("")
  byteOf.forEach((byte, code) => {
    if (byte >= 0) table[byte] = String.fromCharCode(code)
  })
  return table
})()

/** The text's UTF-8 bytes, spelled. */
export const byteLevelText = (text: string): string => {
  let spelled = ""
  for (const byte of Buffer.from(text)) spelled += characterOf[byte] ?? ""
  return spelled
}

/** null where a character is none of the alphabet: the token stands for its own text. */
export const byteLevelBytes = (token: string): Uint8Array | null => {
  const bytes = new Uint8Array(token.length)
  for (let i = 0; i < token.length; i++) {
    const byte = byteOf[token.charCodeAt(i)] ?? -1
    if (byte < 0) return null
    bytes[i] = byte
  }
  return bytes
}
