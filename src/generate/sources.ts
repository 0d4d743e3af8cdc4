// How the worker follows the token log: its own frames are passed by undecoded, because they are
// most of the log and say nothing that it does not know. Everything else comes decoded, damage as
// null.
import { codecs } from "../../schemas/codec.ts"
import type { TokenFrame } from "../../schemas/types.ts"
import type { LogRecord } from "../../streams/Log.ts"
import { readRecord } from "../../streams/readRecord.ts"

/** Whether a record begins as this writer's frames do: with its header and its name. */
export const ownFrameTest = (writer: string): ((value: Uint8Array) => boolean) => {
  const encoded = (writtenAt: number) =>
    Uint8Array.from(codecs.tokenFrame.encode({ writer, writtenAt, entries: [] }))
  const [zero, minusOne] = [encoded(0), encoded(-1)]
  const length = zero.findIndex((byte, at) => byte !== minusOne[at])
  return (value) => {
    if (value.length < length) return false
    // From the end: writers differ late, in their random part.
    for (let i = length - 1; i >= 0; i--) if (value[i] !== zero[i]) return false
    return true
  }
}

export const frameOf = (record: LogRecord): TokenFrame | null =>
  readRecord(codecs.tokenFrame, record).value
