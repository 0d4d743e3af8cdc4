// Watches a deployment on Kafka while things happen to it, and judges at the end: every topic is
// read, and the checker sets it against what clients saw. Committed offsets are noted all the
// while, each with what the token log held just after.
import { Effect, Layer, ManagedRuntime } from "effect"
import { kafkaLog } from "../../../streams/kafka/KafkaLog.ts"
import type { Log, LogError } from "../../../streams/Log.ts"
import { layerWithIds } from "../../../streams/registry/registryLog.ts"
import type { RegistryError } from "../../../streams/registry/RegistryError.ts"
import { resolveIds } from "../../../streams/registry/resolveIds.ts"
import { workerGroup } from "../../../streams/topics.ts"
import { check, type Mark, violationText } from "../checker/check.ts"
import type { HistoryLine } from "../checker/history.ts"
import { readLogs, readMarks } from "../checker/readLogs.ts"
import { addresses } from "./addresses.ts"

export interface JudgeOptions {
  readonly kafka: string
  /** Whose schema ids the records have; without it, our own. */
  readonly registry?: string
  /** Topics whose schemas are asked for there. */
  readonly topics?: ReadonlyArray<string>
}

const group = workerGroup("tales-11m", "1")
const lookEveryMs = 2000

const logOf = ({ kafka, registry, topics = [] }: JudgeOptions) => {
  const plain = kafkaLog({ brokers: addresses(kafka), clientId: "judge" })
  if (registry === undefined) return plain
  const layerIds = Layer.unwrap(Effect.map(resolveIds(registry, topics), layerWithIds))
  return layerIds.pipe(Layer.provide(plain))
}

export class Judge {
  readonly #runtime: ManagedRuntime.ManagedRuntime<Log, LogError | RegistryError>
  readonly #marks: Array<Mark> = []
  readonly #history: Array<HistoryLine> = []
  #timer: NodeJS.Timeout | null = null
  #looking: Promise<void> = Promise.resolve()

  constructor(options: JudgeOptions) {
    this.#runtime = ManagedRuntime.make(logOf(options))
    this.#timer = setInterval(() => this.#look(), lookEveryMs)
  }

  /** How often it found what is committed. */
  get looks(): number {
    return this.#marks.length
  }

  hear(told: ReadonlyArray<{ readonly history: ReadonlyArray<HistoryLine> }>): void {
    for (const { history } of told) this.#history.push(...history)
  }

  /** All that is wrong, in sentences. Requests that run still are told apart by the caller. */
  async faults(): Promise<ReadonlyArray<string>> {
    await this.#looking
    const logs = await this.#runtime.runPromise(readLogs(group, this.#marks))
    return check(logs, this.#history).map(violationText)
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.#looking
    await this.#runtime.dispose()
  }

  /** While the cluster is away there is nothing to be seen. */
  #look(): void {
    this.#looking = this.#looking.then(() =>
      this.#runtime.runPromise(readMarks(group)).then(
        (marks) => void this.#marks.push(...marks),
        () => undefined,
      ),
    )
  }
}
