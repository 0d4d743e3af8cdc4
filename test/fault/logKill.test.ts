// kill -9 at random moments of processes that write to and read from one log: nothing acknowledged
// is lost, the order holds, and a reader that commits what it read never reads it again. Writers
// and readers are processes of their own, so that every kill meets appends, commits and deliveries
// half done.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import { Log } from "../../streams/Log.ts"
import { readAll, textOf, topic } from "../contract/log.ts"
import { child, type LinedChild } from "../support/childLines.ts"
import { seeded } from "../support/events.ts"
import { temporaryFolder } from "../support/temporaryFolder.ts"

/** Of the writer and of the reader together. */
const kills = 20
const partitions = 2

const logChild = "./logChild.ts"

const numbers = (line: string): ReadonlyArray<number> => line.split(" ").slice(1).map(Number)

/** A child that is started again after each kill; all that its lives have written. */
const revenant = (args: (life: number) => ReadonlyArray<string>) => {
  const lives: Array<LinedChild> = []
  return {
    lives,
    start: Effect.suspend(() =>
      Effect.map(child(logChild, args(lives.length)), (life) => void lives.push(life)),
    ),
    /** Lets it get to work first: a process that has not begun cannot lose anything. */
    kill: (begun: string, afterMs: number) =>
      Effect.gen(function* () {
        const life = lives.at(-1)!
        yield* life.line(begun)
        yield* Effect.sleep(afterMs)
        yield* life.kill
      }),
  }
}

/** Kills the one or the other at random moments, until there were enough. */
const torture = Effect.fnUntraced(function* (folder: string, seed: number) {
  const draw = seeded(seed)
  const writer = revenant((life) => ["write", folder, "t", `life${life}`])
  const reader = revenant((life) => ["consume", folder, "t", `reader${life}`])
  yield* writer.start
  yield* reader.start
  for (let i = 0; i < kills; i++) {
    const [victim, begun] = draw.pick([[writer, "ack"] as const, [reader, "got"] as const])
    yield* victim.kill(begun, draw.below(150))
    yield* victim.start
  }
  yield* writer.kill("ack", 100)
  yield* reader.kill("got", 300)
  return { writer: writer.lives, reader: reader.lives }
})

const checkWriter = (
  lives: ReadonlyArray<LinedChild>,
  log: ReadonlyArray<ReadonlyArray<string>>,
) => {
  for (const [life, lived] of lives.entries()) {
    const lines = lived.lines()
    const acknowledged = lines.filter((line) => line.startsWith("ack ")).map((l) => numbers(l)[0]!)
    for (const [partition, texts] of log.entries()) {
      const own = texts.filter((text) => text.startsWith(`life${life}:`))
      // The order of its calls, from the first on, without a gap.
      assert.deepStrictEqual(
        own,
        own.map((_, i) => `life${life}:${i * partitions + partition}`),
      )
      const last = acknowledged.findLast((n) => n % partitions === partition) ?? -1
      assert.isAbove(own.length * partitions + partition, last, `life ${life}: acknowledged, lost`)
    }
  }
}

/** What all readers together saw, by partition. */
class Readings {
  readonly #log: ReadonlyArray<ReadonlyArray<string>>
  /** All below it was committed, and seen to be. */
  readonly #committed: Array<number>
  /** All below it was delivered. */
  readonly delivered: Array<number>
  /** What comes next; null after an assignment, when delivery starts at what is committed. */
  #next: Array<number | null> = []

  constructor(log: ReadonlyArray<ReadonlyArray<string>>) {
    this.#log = log
    this.#committed = log.map(() => 0)
    this.delivered = log.map(() => 0)
  }

  take(line: string, life: number): void {
    const [kind, , , text = ""] = line.split(" ")
    const [partition = 0, offset = 0] = numbers(line)
    if (kind === "assigned") this.#next = this.#log.map(() => null)
    else if (kind === "committed") {
      this.#committed[partition] = Math.max(this.#committed[partition]!, offset)
    } else if (kind === "got") this.#got(partition, offset, `life ${life}, ${offset} ${text}`)
  }

  #got(partition: number, offset: number, label: string): void {
    assert.strictEqual(label.split(" ").at(-1), this.#log[partition]![offset], label)
    const next = this.#next[partition]
    if (next === null || next === undefined) {
      assert.isAtLeast(offset, this.#committed[partition]!, `${label}: read again`)
      assert.isAtMost(offset, this.delivered[partition]!, `${label}: others were skipped`)
    } else assert.strictEqual(offset, next, `${label}: not the next one`)
    this.#next[partition] = offset + 1
    this.delivered[partition] = Math.max(this.delivered[partition]!, offset + 1)
  }
}

const checkReader = (
  lives: ReadonlyArray<LinedChild>,
  log: ReadonlyArray<ReadonlyArray<string>>,
): ReadonlyArray<number> => {
  const readings = new Readings(log)
  for (const [life, lived] of lives.entries()) {
    for (const line of lived.lines()) readings.take(line, life)
  }
  return readings.delivered
}

describe("kill -9 of writers and readers", () => {
  const seed = Number(process.env["SLUICE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))

  it.live(
    `${kills} times at random moments, seed ${seed}: nothing lost, nothing twice, order holds`,
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder("kill")
        const layer = embeddedLog({ folder, mapBytes: 1024 ** 3 })
        const setUp = Effect.flatMap(Log, (log) => log.createTopics([topic("t", partitions)]))
        yield* Effect.provide(setUp, layer)
        const lives = yield* torture(folder, seed)
        yield* Effect.gen(function* () {
          const log: Array<ReadonlyArray<string>> = []
          for (let partition = 0; partition < partitions; partition++) {
            log.push((yield* readAll("t", partition)).map(textOf))
          }
          checkWriter(lives.writer, log)
          const delivered = checkReader(lives.reader, log)
          assert.isAbove(Math.min(...delivered), 100)
          const service = yield* Log
          for (let partition = 0; partition < partitions; partition++) {
            const at = (yield* service.committed("group", { topic: "t", partition })) ?? 0
            assert.isAtMost(at, delivered[partition]!)
          }
        }).pipe(Effect.provide(layer))
      }).pipe(Effect.scoped),
    120_000,
  )
})
