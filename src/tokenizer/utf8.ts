// Where a run of bytes may be cut so that decoding it piecewise equals decoding it whole, by the
// WHATWG rule: every maximal subpart of an ill-formed sequence becomes one U+FFFD.

/** Keeps a byte-order mark: a model's output is text in the middle of something, not a file. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

export const decodeUtf8 = (bytes: Uint8Array): string => decoder.decode(bytes)

const isContinuation = (byte: number) => (byte & 0xc0) === 0x80

/**
 * Bytes of the character that a lead byte starts; 0 for a byte that starts none of several bytes.
 */
const characterBytes = (lead: number) =>
  lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4

/** Overlong forms, surrogates and numbers over U+10FFFF already fail at their second byte. */
const isSecondByte = (lead: number, byte: number) => {
  if (lead === 0xe0) return byte >= 0xa0 && byte <= 0xbf
  if (lead === 0xed) return byte >= 0x80 && byte <= 0x9f
  if (lead === 0xf0) return byte >= 0x90 && byte <= 0xbf
  if (lead === 0xf4) return byte >= 0x80 && byte <= 0x8f
  return isContinuation(byte)
}

/**
 * How many of the last bytes begin a character that later bytes may complete: 0 to 3. All before
 * them decodes the same whatever follows.
 */
export const unfinishedBytes = (bytes: Uint8Array): number => {
  const end = bytes.length
  for (let back = 1; back <= 3 && back <= end; back++) {
    const lead = bytes[end - back]!
    if (isContinuation(lead)) continue
    if (characterBytes(lead) <= back) return 0
    return back === 1 || isSecondByte(lead, bytes[end - back + 1]!) ? back : 0
  }
  return 0
}
