// What a generator process is asked and what it tells: plain data that crosses between processes.
import type { ConfigShape } from "../config/Config.ts"
import type { Objectives } from "./measure/objectives.ts"
import type { TallyData } from "./measure/Tally.ts"
import type { PlanOptions } from "./plan/Plan.ts"
import type { VerifyData } from "./report/Report.ts"
import type { GeneratorOptions } from "./send/Generator.ts"
import type { HttpOptions } from "./send/HttpTarget.ts"

export type TargetOptions =
  | { readonly kind: "http"; readonly http: HttpOptions }
  /** The log of this configuration. */
  | { readonly kind: "log"; readonly config: ConfigShape; readonly deadlineMs: number }

export interface RunOptions {
  readonly plan: PlanOptions
  readonly generator: GeneratorOptions
  readonly objectives: Objectives
  readonly lateMs: number
  readonly target: TargetOptions
  readonly verify: boolean
}

export type GeneratorAsk =
  | { readonly kind: "begin"; readonly options: RunOptions }
  /** ms since the epoch: the plan's time 0, the same for every generator. */
  | { readonly kind: "go"; readonly atMs: number }
  | { readonly kind: "stop" }

export interface Progress {
  readonly sent: number
  readonly ended: number
  readonly failed: number
  readonly late: number
  readonly inFlight: number
}

export interface Generated {
  readonly tally: TallyData
  /** After warming up; of the last answer. */
  readonly lastEndMs: number
  readonly verify: VerifyData | null
}

export type GeneratorWord =
  | { readonly kind: "ready" }
  | { readonly kind: "progress"; readonly progress: Progress }
  | { readonly kind: "done"; readonly generated: Generated; readonly fault: string | null }
  | { readonly kind: "failed"; readonly message: string }
