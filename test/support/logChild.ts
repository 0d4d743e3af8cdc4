// A process of its own on an embedded log's folder, for tests and the bench; told by its arguments
// what to do, it says on stdout what happened, a line each, written before it goes on.
//   follow folder topic count    "ready"; then when it saw each of that many records
//   write folder topic prefix    "ready"; "ack <n>" for each durable record <prefix>:<n>
//   fill folder topic            "failed <reason> <records>" when no more can be appended
//   consume folder topic member  "assigned <partitions>"; "got <partition> <offset> <text>";
//                                "committed <partition> <offset>" for what stands committed
import { writeSync } from "node:fs"
import { Effect, Exit, Option, type Scope } from "effect"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import { type Consumer, Log, type LogError } from "../../streams/Log.ts"

const [mode = "", folder = "", topic = "", argument = ""] = process.argv.slice(2)

const say = (line: string): void => void writeSync(1, `${line}\n`)

const onError = (error: LogError): never => {
  throw error
}

const now = (): number => performance.timeOrigin + performance.now()

const follow: Effect.Effect<void, LogError, Log | Scope.Scope> = Effect.gen(function* () {
  const log = yield* Log
  const times: Array<number> = []
  const onRecords = (_: unknown, records: ReadonlyArray<unknown>) => {
    for (let i = 0; i < records.length; i++) times.push(now())
  }
  yield* log.tail({ topic, from: "end", onRecords, onError })
  say("ready")
  while (times.length < Number(argument)) yield* Effect.sleep(10)
  say(JSON.stringify(times))
})

/** Some appends always in flight, so that a kill meets commits in every state. */
const write: Effect.Effect<void, LogError, Log> = Effect.gen(function* () {
  const log = yield* Log
  let written = 0
  const next = (): void => {
    const n = written++
    const record = { key: null, value: Buffer.from(`${argument}:${n}`) }
    log.appendThen({ topic, partition: n % 2 }, [record], (error) => {
      if (error !== null) throw error
      say(`ack ${n}`)
      next()
    })
  }
  say("ready")
  for (let i = 0; i < 16; i++) next()
  yield* Effect.never
})

/** Appends until it is refused, then once more. */
const fill: Effect.Effect<void, LogError, Log> = Effect.gen(function* () {
  const log = yield* Log
  const value = new Uint8Array(20_000)
  const append = log.append({ topic, partition: 0 }, [{ key: null, value }])
  const failure = Effect.map(Effect.exit(append), (exit) =>
    Exit.isSuccess(exit) ? null : Option.getOrNull(Exit.findErrorOption(exit)),
  )
  let records = 0
  let error = yield* failure
  for (; error === null; error = yield* failure) records++
  if ((yield* failure) === null) throw new Error("it took one more after it had failed")
  const { reason } = error
  say(`failed ${reason} ${records}`)
})

/** Commits what it has got, a batch at a time: a reader with a watermark. */
const consume: Effect.Effect<void, LogError, Log | Scope.Scope> = Effect.gen(function* () {
  const log = yield* Log
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  let consumer: Consumer | null = null
  consumer = yield* log.consume({
    group: "group",
    member: argument,
    topics: [topic],
    slots: 1,
    handler: {
      onAssigned: (_, partitions) =>
        say(`assigned ${partitions.map(({ partition }) => partition).join(",")}`),
      onRecords: (epoch, at, records) => {
        for (const { offset, value } of records) {
          say(`got ${at.partition} ${offset} ${Buffer.from(value).toString()}`)
        }
        const offset = (records.at(-1)?.offset ?? -1) + 1
        const commit = consumer?.commit(epoch, [{ ...at, offset }]) ?? Effect.void
        // A commit of an epoch that is over is dropped without a word: what stands is told.
        const told = Effect.map(log.committed("group", at), (stands) =>
          say(`committed ${at.partition} ${stands ?? 0}`),
        )
        runFork(Effect.andThen(commit, told))
      },
      onError,
    },
  })
  yield* Effect.never
})

const modes: Readonly<Record<string, Effect.Effect<void, LogError, Log | Scope.Scope>>> = {
  follow,
  write,
  fill,
  consume,
}

const program = modes[mode] ?? Effect.die(new Error(`unknown mode ${mode}`))
await Effect.runPromise(
  Effect.scoped(program).pipe(Effect.provide(embeddedLog({ folder, mapBytes: 1024 ** 3 }))),
)
