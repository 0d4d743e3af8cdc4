// What we write as server-sent events is read back exactly by the standard's parser and by npm's
// eventsource-parser, however it is cut into chunks and whatever heartbeats stand between.
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { createParser } from "eventsource-parser"
import { sseComment, sseFrame, sseUnnumbered } from "../../../src/api/answer/sse.ts"
import { WhatwgSse } from "../../support/answer/whatwgSse.ts"
import { makeRandom } from "../../support/tokenizer.ts"
import { hasShared, sharedPath } from "../../support/shared.ts"

const casesPath = "hostile/sse/sse-cases.json"

interface Case {
  readonly name: string
  readonly chunks_b64: ReadonlyArray<string>
  readonly events: ReadonlyArray<{
    readonly type: string
    readonly data: string
    readonly lastEventId: string
  }>
}

const cases = (): ReadonlyArray<Case> => JSON.parse(readFileSync(sharedPath(casesPath), "utf8"))

describe("the judge", () => {
  it.skipIf(!hasShared(casesPath))(
    "reads all conformance cases as they say (needs shared/)",
    () => {
      const wrong = cases().filter(({ chunks_b64, events }) => {
        const parser = new WhatwgSse()
        for (const chunk of chunks_b64) parser.push(Buffer.from(chunk, "base64"))
        parser.close()
        return JSON.stringify(parser.events) !== JSON.stringify(events)
      })
      assert.deepStrictEqual(
        wrong.map(({ name }) => name),
        [],
      )
      assert.isAtLeast(cases().length, 90)
    },
  )
})

const alphabet = ["a", " ", ":", "\n", "\r", "\u2028", "é", "😀", "\ud800", "data:", "id:", "\0"]

interface Written {
  readonly bytes: Buffer
  readonly frames: ReadonlyArray<{ readonly data: string; readonly lastEventId: string }>
}

/** A stream of random JSON texts with comments and empty chunks at random places. */
const writeRandom = (random: (below: number) => number): Written => {
  let text = ""
  let lastEventId = ""
  const frames: Array<{ data: string; lastEventId: string }> = []
  for (let cursor = 1; cursor <= 20; cursor++) {
    const said = Array.from({ length: random(6) }, () => alphabet[random(alphabet.length)])
    const data = JSON.stringify(said.join(""))
    lastEventId = String(cursor)
    frames.push({ data, lastEventId })
    text += sseFrame({ cursor, data })
    if (random(3) === 0) text += sseComment
    if (random(4) === 0) {
      text += sseUnnumbered({ data })
      frames.push({ data, lastEventId })
    }
  }
  return { bytes: Buffer.from(text), frames }
}

const cut = (bytes: Buffer, random: (below: number) => number): ReadonlyArray<Buffer> => {
  const chunks: Array<Buffer> = []
  for (let at = 0; at < bytes.length;) {
    const length = 1 + random(random(2) === 0 ? 3 : 400)
    chunks.push(bytes.subarray(at, at + length))
    at += length
  }
  return chunks
}

describe("the framer", () => {
  it("is read back exactly, cut anywhere, with heartbeats between", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = makeRandom(seed)
      const { bytes, frames } = writeRandom(random)
      const judge = new WhatwgSse()
      const npm: Array<{ data: string; lastEventId: string }> = []
      let id = ""
      const parser = createParser({
        onEvent: (event) => {
          id = event.id ?? id
          npm.push({ data: event.data, lastEventId: id })
        },
      })
      const decoder = new TextDecoder()
      for (const chunk of cut(bytes, random)) {
        judge.push(chunk)
        parser.feed(decoder.decode(chunk, { stream: true }))
      }
      const expected = JSON.stringify(frames)
      const judged = judge.events.map(({ data, lastEventId }) => ({ data, lastEventId }))
      assert.strictEqual(JSON.stringify(judged), expected, `seed ${seed}`)
      assert.strictEqual(JSON.stringify(npm), expected, `seed ${seed}`)
    }
  })

  it("never ends a block that has no data, which openai-python would parse as JSON", () => {
    const judge = new WhatwgSse()
    const text =
      sseFrame({ cursor: 1, data: "{}" }) +
      sseComment +
      sseComment +
      sseUnnumbered({ data: "{}" }) +
      sseComment
    judge.push(Buffer.from(text))
    assert.deepStrictEqual(judge.blocks, [1, 1])
  })
})
