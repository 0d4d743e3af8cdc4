// What processes on one data folder say to each other, and what they make of rubbish.
import { assert, describe, it } from "@effect/vitest"
import {
  earlyWord,
  lookWord,
  newWord,
  PeerWordReader,
  wantWord,
  wordBytesMax,
} from "../../../streams/embedded/peerWords.ts"

const partition = { topic: "sluice.requests.größe.1.default", partition: 70_000 }
const records = [
  { key: "k", value: Buffer.from("one") },
  { key: null, value: Buffer.alloc(0) },
  { key: "", value: Buffer.alloc(3000, 7) },
]

const early = earlyWord(partition, records) ?? assert.fail("it fits")
const places = [partition, { topic: "sluice.tokens", partition: 0 }]
const words = [lookWord, wantWord(partition.topic), early, newWord(places), lookWord]
const all = Buffer.concat(words)

describe("words between peers", () => {
  it("come out as they went in, in whatever pieces they arrive", () => {
    for (const bytes of [1, 2, 3, 7, 1000, all.length]) {
      const reader = new PeerWordReader()
      const read = []
      for (let at = 0; at < all.length; at += bytes) {
        read.push(...(reader.take(all.subarray(at, at + bytes)) ?? assert.fail("words")))
      }
      assert.deepStrictEqual(read, [
        { kind: "look" },
        { kind: "want", topic: partition.topic },
        { kind: "early", partition, records },
        { kind: "new", partitions: places },
        { kind: "look" },
      ])
    }
  })

  it("are not made too long, and not taken so", () => {
    assert.isNull(earlyWord(partition, [{ key: null, value: Buffer.alloc(wordBytesMax) }]))
    const many = Array.from({ length: 10_000 }, () => partition)
    assert.strictEqual(newWord(many), lookWord)
    const head = Buffer.from([3, 0, 0, 0, 0])
    head.writeUInt32LE(wordBytesMax, 1)
    assert.isNull(new PeerWordReader().take(head))
  })

  it("that are none, or end within a record, are refused", () => {
    assert.isNull(new PeerWordReader().take(Buffer.from("GET / HTTP/1.1")))
    const cut = Buffer.from(early.subarray(0, early.length - 1))
    cut.writeUInt32LE(cut.length - 5, 1)
    assert.isNull(new PeerWordReader().take(cut))
    const placeless = Buffer.from([4, 3, 0, 0, 0, 1, 0, 65])
    assert.isNull(new PeerWordReader().take(placeless))
    const topicless = Buffer.from([3, 2, 0, 0, 0, 255, 255])
    assert.isNull(new PeerWordReader().take(topicless))
  })
})
