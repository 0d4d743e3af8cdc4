// `sluice dead-letters`: which requests were given up, one of them in full, and one of them again
// as a new request. It makes no topics and changes nothing but by `replay`.
import { existsSync } from "node:fs"
import { join } from "node:path"
import { Clock, Effect, Exit, Layer, Schema } from "effect"
import { CodecError, codecs } from "../../schemas/codec.ts"
import type { RequestAccepted } from "../../schemas/types.ts"
import { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { Config, type ConfigShape } from "../config/Config.ts"
import { affinityKey, homePartition } from "../enqueue/partition.ts"
import { layerLogger } from "../telemetry/logger.ts"
import { makeTokenizer } from "../tokenizer/layer.ts"
import { type FoundLetter, listLines, showLines } from "./deadLetterText.ts"
import { failureSentence } from "./failure.ts"
import { layerStoreThere } from "./store.ts"
import type { Output } from "./topics.ts"

class DeadLetterError extends Schema.TaggedError<DeadLetterError>()("DeadLetterError", {
  reason: Schema.Literals(["noLog", "notNamed", "notFound", "notReplayable"]),
  message: Schema.String,
}) {}

const fail = (reason: DeadLetterError["reason"], message: string) =>
  new DeadLetterError({ reason, message })

const readBytesMax = 1 << 20

const requestOf = (record: Uint8Array): RequestAccepted | null => {
  const request = codecs.requestAccepted.decode(record)
  return request instanceof CodecError ? null : request
}

/** The oldest first. A letter that was written twice is there once, as it was written last. */
const readLetters = Effect.gen(function* () {
  const log = yield* DeadLetterLog
  const letters = new Map<string, FoundLetter>()
  let offset = yield* log.first
  for (;;) {
    const records = yield* log.readFrom(offset, readBytesMax)
    for (const record of records) {
      offset = record.offset + 1
      const letter = record.value
      if (letter === null) continue
      const name = letter.requestId === "" ? String(record.offset) : letter.requestId
      letters.delete(name)
      letters.set(name, { offset: record.offset, letter, request: requestOf(letter.request) })
    }
    if (records.length === 0) return [...letters.values()]
  }
})

/** By its request's id, or by its offset, which a letter of no request has only. */
const findLetter = Effect.fnUntraced(function* (name: string | null) {
  if (name === null) return yield* fail("notNamed", "name a request's id, or a letter's offset.")
  const letters = yield* readLetters
  const found = letters.find(
    ({ letter, offset }) => letter.requestId === name || String(offset) === name,
  )
  if (found !== undefined) return found
  const message = `there is no dead letter ${JSON.stringify(name)}; \`list\` shows all.`
  return yield* fail("notFound", message)
})

const show = Effect.fnUntraced(function* (name: string | null, withPrompts: boolean) {
  const config = yield* Config
  const found = yield* findLetter(name)
  if (!withPrompts) return showLines(found, null)
  const isServed = found.request?.model === config.servedModelName
  // Another model's ids would be decoded to something else: they are shown as they are.
  if (!isServed) return showLines(found, (ids) => ids.join(" "))
  const tokenizer = yield* makeTokenizer(config.model)
  return showLines(found, (ids) => tokenizer.decode(ids, false))
})

const replay = Effect.fnUntraced(function* (name: string | null) {
  const requests = yield* RequestLog
  const { request, offset } = yield* findLetter(name)
  if (request === null) {
    const message = `what letter ${offset} holds is no request, so it cannot be sent again.`
    return yield* fail("notReplayable", message)
  }
  const now = yield* Clock.currentTimeMillis
  const requestId = newRequestId(now)
  const deadline = now + (request.deadline - request.acceptedAt)
  const again: RequestAccepted = { ...request, requestId, acceptedAt: now, deadline }
  const { model, version, tier } = again
  const partitions = yield* requests.partitions(model, version, tier)
  yield* requests.append(again, homePartition(affinityKey(again), partitions))
  return [`${request.requestId} goes again as ${requestId}`]
})

export interface Asked {
  readonly action: string
  readonly name: string | null
  readonly withPrompts: boolean
}

const perform = Effect.fnUntraced(function* ({ action, name, withPrompts }: Asked) {
  if (action === "list") return listLines(yield* readLetters)
  return action === "show" ? yield* show(name, withPrompts) : yield* replay(name)
})

const checkLog = ({ kafka, data }: ConfigShape) =>
  kafka.length > 0 || existsSync(join(data, "log"))
    ? Effect.void
    : Effect.fail(fail("noLog", `there is no log in ${data}; name its folder with --data.`))

/** Resolves to the exit code. */
export const deadLettersCommand = async (
  config: ConfigShape,
  asked: Asked,
  output: Output,
): Promise<number> => {
  const layer = Layer.mergeAll(DeadLetterLog.layer, RequestLog.layer).pipe(
    Layer.provide(layerStoreThere),
    Layer.provideMerge(Layer.succeed(Config, config)),
  )
  const work = Effect.andThen(checkLog(config), Effect.provide(perform(asked), layer))
  const exit = await Effect.runPromiseExit(
    work.pipe(Effect.scoped, Effect.provide(layerLogger("error"))),
  )
  if (Exit.isSuccess(exit)) {
    exit.value.forEach(output.out)
    return 0
  }
  output.err(failureSentence(exit.cause, config))
  return 1
}
