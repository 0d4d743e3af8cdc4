// `sluice dead-letters`: which requests were given up, one of them in full, and one of them again
// as a new request. It makes no topics and changes nothing but by `replay`.
import { existsSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Layer } from "effect"
import { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { Config, type ConfigShape } from "../config/Config.ts"
import { DeadLetterError, findLetter, listLetters, replayLetter } from "../enqueue/deadLetters.ts"
import { layerLogger } from "../telemetry/logger.ts"
import { makeTokenizer } from "../tokenizer/layer.ts"
import { listLines, showLines } from "./deadLetterText.ts"
import { failureSentence } from "./failure.ts"
import { layerStoreThere } from "./store.ts"
import type { Output } from "./topics.ts"

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

export interface Asked {
  readonly action: string
  readonly name: string | null
  readonly withPrompts: boolean
}

const perform = Effect.fnUntraced(function* ({ action, name, withPrompts }: Asked) {
  if (action === "list") return listLines(yield* listLetters)
  if (action === "show") return yield* show(name, withPrompts)
  return [`${name} goes again as ${yield* replayLetter(name)}`]
})

const checkLog = ({ kafka, data }: ConfigShape) =>
  kafka.length > 0 || existsSync(join(data, "log"))
    ? Effect.void
    : Effect.fail(
        new DeadLetterError({
          reason: "noLog",
          message: `there is no log in ${data}; name its folder with --data.`,
        }),
      )

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
