// `sluice schemas register|check`: our event schemas at a schema registry.
import { Effect, Exit } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { checkSchemas, registerSchemas } from "../../streams/registry/publish.ts"
import { failureSentence } from "./failure.ts"
import { topicsOf } from "./store.ts"
import type { Output } from "./topics.ts"

/** Resolves to the exit code. */
export const schemasCommand = async (
  config: ConfigShape,
  register: boolean,
  { out, err }: Output,
): Promise<number> => {
  if (config.registry === "" || config.registry === "none") {
    err("sluice schemas: --registry is missing; it takes the URL of a schema registry.")
    return 2
  }
  const topics = topicsOf(config).map(({ name }) => name)
  const work = register ? registerSchemas : checkSchemas
  const exit = await Effect.runPromiseExit(work(config.registry, topics))
  if (Exit.isFailure(exit)) {
    err(failureSentence(exit.cause, config))
    return 1
  }
  for (const { subject, schema, id } of exit.value) {
    const state = id === null ? "not registered, and compatible" : `id ${id}`
    out(`${subject.padEnd(52)} ${schema.name} ${schema.version}: ${state}`)
  }
  return 0
}
