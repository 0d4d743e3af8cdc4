// What models this gateway takes requests for, with their limits as config.json gives them, and
// whether anyone runs them.
import { readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { Clock, Context, Effect, Layer, Schema } from "effect"
import { Config } from "../config/Config.ts"
import { Workers } from "./Workers.ts"

class CatalogError extends Schema.TaggedError<CatalogError>()("CatalogError", {
  reason: Schema.Literals(["damaged"]),
  message: Schema.String,
}) {}

export interface ServedModel {
  readonly name: string
  readonly version: string
  /** Prompt and output of one choice together. */
  readonly contextTokensMax: number
  /** ms since the epoch */
  readonly createdAt: number
}

const ModelConfig = Schema.fromJsonString(
  Schema.Struct({ max_position_embeddings: Schema.Int.check(Schema.isGreaterThan(0)) }),
)

const readModel = Effect.fn("ModelCatalog.read")(function* () {
  const config = yield* Config
  const path = join(config.model, "config.json")
  const damaged = (cause: unknown) => {
    const found = cause instanceof Error ? cause.message : String(cause)
    const message = `${path}: ${found.replaceAll(/\s+/g, " ")}`
    return new CatalogError({ reason: "damaged", message })
  }
  const text = yield* Effect.tryPromise({ try: () => readFile(path, "utf8"), catch: damaged })
  const { mtimeMs } = yield* Effect.tryPromise({ try: () => stat(path), catch: damaged })
  const parsed = yield* Schema.decodeUnknownEffect(ModelConfig)(text).pipe(Effect.mapError(damaged))
  const configured = config.worker.contextTokensMax
  const own = parsed.max_position_embeddings
  const served: ServedModel = {
    name: config.servedModelName,
    version: config.modelVersion,
    contextTokensMax: configured === 0 ? own : Math.min(configured, own),
    createdAt: Math.floor(mtimeMs),
  }
  return served
})

export class ModelCatalog extends Context.Service<
  ModelCatalog,
  {
    readonly served: ServedModel
    /** null: at least one live worker is ready; otherwise the sentence that says why not. */
    readonly ready: Effect.Effect<string | null>
  }
>()("sluice/enqueue/ModelCatalog") {
  static readonly layer = Layer.effect(
    ModelCatalog,
    Effect.gen(function* () {
      const served = yield* readModel()
      const workers = yield* Workers
      const ready = Effect.map(Clock.currentTimeMillis, (now) => {
        const live = workers.live(now)
        if (live.some(({ state }) => state === "ready")) return null
        if (live.length === 0) return `No worker of ${served.name} is running.`
        const states = live.map(({ state }) => state).join(", ")
        return `No worker of ${served.name} is ready yet: ${states}.`
      })
      return ModelCatalog.of({ served, ready })
    }),
  )
}
