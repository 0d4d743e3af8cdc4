// `sluice record export`: requests of the logs as a trace; `sluice record convert`: a trace in
// another format. Both write as they read, and neither changes anything.
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { Clock, Effect, Exit, Layer } from "effect"
import { RequestLog } from "../../../streams/RequestLog.ts"
import { TokenLog } from "../../../streams/TokenLog.ts"
import { Config, type ConfigShape } from "../../config/Config.ts"
import { exportTrace } from "../../replay/record/exportTrace.ts"
import { blockTokens } from "../../replay/record/promptBlocks.ts"
import { parseTime } from "../../replay/record/times.ts"
import type { GivenFlags } from "../../replay/ReplayOptions.ts"
import { openTrace } from "../../replay/trace/openTrace.ts"
import { type Format, formats, TraceError } from "../../replay/trace/Trace.ts"
import { traceText } from "../../replay/trace/writeTrace.ts"
import { layerLogger } from "../../telemetry/logger.ts"
import { failureSentence } from "../failure.ts"
import { layerStoreThere } from "../store.ts"
import type { Output } from "../topics.ts"

/** Synchronous on pipes and files alike: nothing waits in memory for a slow reader. */
const write = (text: string) => void (text === "" || process.stdout.write(text))

const formatOf = ({ options }: GivenFlags): Format | null => {
  const named = options.get("format") ?? "sluice"
  return formats.find((format) => format === named) ?? null
}

const convert = (given: GivenFlags, format: Format, output: Output): number => {
  const [file] = given.operands
  if (file === undefined) {
    output.err("sluice record convert takes a trace and a --format")
    return 2
  }
  const trace = openTrace(file, null)
  if (trace instanceof TraceError) {
    output.err(`sluice: ${trace.message}`)
    return 1
  }
  const text = traceText(format, { model: null, blockTokens, redacted: false })
  write(text.head)
  for (;;) {
    const request = trace.next()
    if (request === null) break
    if (request instanceof TraceError) {
      output.err(`sluice: ${request.message}`)
      return 1
    }
    write(text.request(request))
  }
  write(text.foot)
  return 0
}

const program = (config: ConfigShape, given: GivenFlags, format: Format) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const redact = given.switches.has("redact")
    const fromMs = parseTime(given.options.get("from") ?? "0", now)
    const toMs = parseTime(given.options.get("to") ?? String(now + 1), now)
    if (fromMs === null || toMs === null) return "times"
    const model = config.servedModelName
    const text = traceText(format, { model, blockTokens, redacted: redact })
    write(text.head)
    const count = yield* exportTrace({
      model,
      fromMs,
      toMs,
      redact,
      salt: redact ? randomBytes(16).toString("hex") : "",
      onRequest: (request) => write(text.request(request)),
    })
    write(text.foot)
    return count
  })

/** Resolves to the exit code. */
export const recordCommand = async (
  config: ConfigShape,
  given: GivenFlags,
  output: Output,
): Promise<number> => {
  const format = formatOf(given)
  if (format === null) {
    output.err(`sluice record: --format must be one of ${formats.join(", ")}`)
    return 2
  }
  if (given.action === "convert") return convert(given, format, output)
  if (config.kafka.length === 0 && !existsSync(join(config.data, "log"))) {
    output.err(`sluice: there is no log in ${config.data}; name its folder with --data.`)
    return 1
  }
  const layer = Layer.mergeAll(RequestLog.layer, TokenLog.layer).pipe(
    Layer.provideMerge(layerStoreThere),
    Layer.provide(Layer.succeed(Config, config)),
  )
  const work = program(config, given, format).pipe(Effect.provide(layer), Effect.scoped)
  const exit = await Effect.runPromiseExit(work.pipe(Effect.provide(layerLogger("error"))))
  if (Exit.isFailure(exit)) {
    output.err(failureSentence(exit.cause, config))
    return 1
  }
  if (exit.value === "times") {
    output.err("sluice record: times are 2026-01-31T12:00:00Z, ms since the epoch, or 2h (ago)")
    return 2
  }
  output.err(`sluice: ${exit.value} requests of ${config.servedModelName}`)
  return 0
}
