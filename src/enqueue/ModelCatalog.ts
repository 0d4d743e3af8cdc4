// What models this gateway takes requests for, and whether anyone runs them.
import { Context, type Effect } from "effect"

export interface ServedModel {
  readonly name: string
  readonly version: string
  /** Prompt and output of one choice together. */
  readonly contextTokensMax: number
  /** ms since the epoch */
  readonly createdAt: number
}

export class ModelCatalog extends Context.Service<
  ModelCatalog,
  {
    readonly served: ServedModel
    /** null: at least one live worker is ready; otherwise the sentence that says why not. */
    readonly ready: Effect.Effect<string | null>
  }
>()("sluice/enqueue/ModelCatalog") {}
