// `sluice quantize`: a model folder to a quantised one beside it. The new folder appears whole or
// not at all; its quantize.json says what the quantisation cost.
import { existsSync } from "node:fs"
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Exit, Schema } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { toEngineError } from "../generate/engine/EngineError.ts"
import { loadNative } from "../generate/engine/loadNative.ts"
import type { NativeQuantizeProgress } from "../generate/engine/native.ts"
import { layerLogger } from "../telemetry/logger.ts"
import { makeTokenizer } from "../tokenizer/layer.ts"
import type { Parsed } from "./args.ts"
import { failureSentence } from "./failure.ts"
import { quantizedConfig } from "./quantizedConfig.ts"
import { type QuantizeWish, quantizeWish } from "./quantizeArgs.ts"
import type { Output } from "./topics.ts"

class QuantizeError extends Schema.TaggedError<QuantizeError>()("QuantizeError", {
  message: Schema.String,
}) {}

const fail = (message: string) => Effect.fail(new QuantizeError({ message }))

const rowTokensMax = 512
const calibrationRows = 16
const heldOutRows = 4
/** Bytes of a calibration text that are read. */
const textBytesMax = 8 << 20
const documentCharactersMax = 4000

const Config = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))

const perform = <A>(work: () => Promise<A>): Effect.Effect<A, QuantizeError> =>
  Effect.tryPromise({
    try: work,
    catch: (error) =>
      new QuantizeError({ message: error instanceof Error ? error.message : String(error) }),
  })

/** Paragraphs, each a text of its own to the model. */
const documentsOf = (text: string): ReadonlyArray<string> =>
  text
    .split(/\n\s*\n/)
    .flatMap(
      (paragraph) => paragraph.match(new RegExp(`[^]{1,${documentCharactersMax}}`, "g")) ?? [],
    )
    .filter((paragraph) => paragraph.trim() !== "")

interface Rows {
  readonly ids: Uint32Array
  readonly rowTokens: number
  readonly heldOut: number
  readonly startIds: Uint32Array
  readonly eosIds: Uint32Array
}

const readText = Effect.fnUntraced(function* (path: string) {
  const { size } = yield* perform(() => stat(path))
  if (size > textBytesMax) {
    return yield* fail(`${path} has ${size} bytes; up to ${textBytesMax} are read.`)
  }
  return yield* perform(() => readFile(path, "utf8"))
})

/** No ids where the model is to write its own text. */
const makeRows = Effect.fnUntraced(function* ({ folder, calibration }: QuantizeWish) {
  const tokenizer = yield* makeTokenizer(folder)
  const { bosId, eosIds } = tokenizer.model
  const begun = yield* tokenizer.encode("", true)
  const startIds = Uint32Array.from(begun.length > 0 ? begun : [bosId ?? 0])
  const base = { startIds, eosIds: Uint32Array.from(eosIds) }
  const context = yield* contextTokens(folder)
  const rowTokens = Math.min(rowTokensMax, context)
  const none: Rows = { ...base, ids: new Uint32Array(0), rowTokens, heldOut: heldOutRows }
  if (calibration === null) return none
  const ids: Array<number> = []
  for (const document of documentsOf(yield* readText(calibration))) {
    if (ids.length >= (calibrationRows + heldOutRows) * rowTokens) break
    for (const id of yield* tokenizer.encode(document, true)) ids.push(id)
  }
  const rows = Math.min(Math.floor(ids.length / rowTokens), calibrationRows + heldOutRows)
  if (rows < 2) {
    return yield* fail(
      `${calibration} is ${ids.length} tokens; at least ${2 * rowTokens} are needed.`,
    )
  }
  const heldOut = Math.max(1, Math.min(heldOutRows, Math.floor(rows / 5)))
  return { ...none, ids: Uint32Array.from(ids.slice(0, rows * rowTokens)), heldOut }
})

const readConfig = Effect.fnUntraced(function* (folder: string) {
  const path = join(folder, "config.json")
  const text = yield* perform(() => readFile(path, "utf8"))
  return yield* Schema.decodeUnknownEffect(Config)(text).pipe(
    Effect.mapError(() => new QuantizeError({ message: `${path} is no JSON object.` })),
  )
})

const contextTokens = Effect.fnUntraced(function* (folder: string) {
  const { max_position_embeddings: context } = yield* readConfig(folder)
  if (typeof context === "number" && Number.isInteger(context) && context >= 2) return context
  return yield* fail(`${join(folder, "config.json")} has no max_position_embeddings.`)
})

const isCopied = (name: string) =>
  /\.(json|jinja|txt|model)$/.test(name) && !/^config\.json$|\.index\.json$/.test(name)

/** All but the weights. */
const copyFiles = Effect.fnUntraced(function* (wish: QuantizeWish, to: string) {
  const config = quantizedConfig(yield* readConfig(wish.folder), wish.method, wish.group)
  yield* perform(async () => {
    await mkdir(to, { recursive: true })
    for (const name of await readdir(wish.folder)) {
      if (isCopied(name)) await copyFile(join(wish.folder, name), join(to, name))
    }
    await writeFile(join(to, "config.json"), `${JSON.stringify(config, null, 2)}\n`)
  })
})

const shown =
  ({ err }: Output): NativeQuantizeProgress =>
  (stage, done, total) => {
    if (stage === "writing") err(`the model writes ${total} rows of text to calibrate on`)
    if (stage === "scoring") err(`perplexity ${done === 0 ? "before" : "after"}`)
    if (stage === "layer") err(`layer ${done + 1} of ${total}`)
  }

const weightBytes = (folder: string) =>
  perform(async () => {
    const names = (await readdir(folder)).filter((name) => name.endsWith(".safetensors"))
    const sizes = await Promise.all(names.map((name) => stat(join(folder, name))))
    return sizes.reduce((sum, { size }) => sum + size, 0)
  })

const quantizeInto = Effect.fnUntraced(function* (wish: QuantizeWish, to: string, output: Output) {
  const rows = yield* makeRows(wish)
  yield* copyFiles(wish, to)
  const options = {
    folder: wish.folder,
    outFolder: to,
    method: wish.method,
    groupInputs: wish.group,
    threads: 0,
    ids: rows.ids,
    rowTokens: rows.rowTokens,
    rows: calibrationRows + heldOutRows,
    heldOutRows: rows.heldOut,
    startIds: rows.startIds,
    eosIds: rows.eosIds,
  }
  const measured = yield* Effect.tryPromise({
    try: () => loadNative().modelQuantize(options, shown(output)),
    catch: (error) => toEngineError(error) ?? new QuantizeError({ message: String(error) }),
  })
  const report = {
    method: wish.method,
    group: wish.method === "int8" ? null : wish.group,
    calibration: wish.calibration === null ? "written by the model" : "a text file",
    heldOutTokens: rows.heldOut * rows.rowTokens,
    ...measured,
    weightBytesBefore: yield* weightBytes(wish.folder),
    weightBytesAfter: yield* weightBytes(to),
  }
  yield* perform(() => writeFile(join(to, "quantize.json"), `${JSON.stringify(report, null, 2)}\n`))
  yield* perform(() => rename(to, wish.out))
  return report
})

/** Resolves to the exit code. */
export const quantizeCommand = async (
  config: ConfigShape,
  parsed: Parsed,
  output: Output,
): Promise<number> => {
  const wish = quantizeWish(parsed)
  if (typeof wish === "string") {
    output.err(`sluice quantize: ${wish}`)
    return 2
  }
  const part = `${wish.out}.part-${process.pid}`
  const work = existsSync(wish.out)
    ? fail(`${wish.out} is there already; name another folder with --out.`)
    : quantizeInto(wish, part, output).pipe(
        Effect.ensuring(Effect.promise(() => rm(part, { recursive: true, force: true }))),
      )
  const exit = await Effect.runPromiseExit(
    work.pipe(Effect.scoped, Effect.provide(layerLogger("error"))),
  )
  if (Exit.isFailure(exit)) {
    output.err(failureSentence(exit.cause, config))
    return 1
  }
  const { perplexityBefore, perplexityAfter, weightBytesBefore, weightBytesAfter } = exit.value
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
  output.out(`${wish.out}`)
  output.out(`weights     ${mebibytes(weightBytesBefore)} -> ${mebibytes(weightBytesAfter)}`)
  output.out(`perplexity  ${perplexityBefore.toFixed(4)} -> ${perplexityAfter.toFixed(4)}`)
  return 0
}
