// `sluice doctor`: tries what serving will need, one thing after another, and says of each what it
// found or what to do. It changes nothing but the data folder, which it makes where there is none.
import { createServer } from "node:net"
import { availableParallelism } from "node:os"
import { Cause, Effect, Exit, Layer } from "effect"
import { exposureFault } from "../api/exposure.ts"
import { Config, type ConfigShape } from "../config/Config.ts"
import { Tokenizer } from "../tokenizer/Tokenizer.ts"
import { layerTokenizer } from "../tokenizer/layer.ts"
import { layerLogger } from "../telemetry/logger.ts"
import { failureSentence } from "./failure.ts"
import { checkData, checkModel } from "./folders.ts"
import { loadNative } from "../generate/engine/loadNative.ts"
import { Engine } from "../generate/engine/Engine.ts"
import { layerEngine } from "../generate/engine/layer.ts"

/** Succeeds with what was found. */
type Check = Effect.Effect<string, unknown>

const canListen = (config: ConfigShape): Check =>
  Effect.callback<string, Error>((resume) => {
    const server = createServer()
    server.once("error", (error) => resume(Effect.fail(error)))
    server.listen(config.port, config.host, () =>
      server.close(() => resume(Effect.succeed(`${config.host}:${config.port} is free`))),
    )
  })

const tokenizes: Effect.Effect<string, unknown, Config> = Effect.gen(function* () {
  const tokenizer = yield* Tokenizer
  const template = tokenizer.hasChatTemplate ? "with" : "without"
  return `${tokenizer.model.vocabSize} ids, ${template} a chat template`
}).pipe(Effect.provide(layerTokenizer))

const engineRuns: Effect.Effect<string, unknown, Config> = Effect.gen(function* () {
  const { info } = yield* Engine
  return `${info.device}, ${info.dtype}, context ${info.contextTokensMax}, ${info.blocks} KV blocks`
}).pipe(Effect.provide(layerEngine.pipe(Layer.provide(layerTokenizer))))

/** What a GPU needs, one line each; that there is none is no fault. */
const devices: Check = Effect.try(() =>
  loadNative()
    .nativeDevices()
    .map(({ name, usable, text }) => `${name}: ${usable ? "" : "not used: "}${text}`)
    .join(`\n${" ".repeat(17)}`),
)

const checks = (config: ConfigShape): ReadonlyArray<readonly [name: string, check: Check]> => {
  const given = Layer.succeed(Config, config)
  const fault = exposureFault(config)
  return [
    ["node", Effect.succeed(`${process.version}, ${availableParallelism()} cores`)],
    ["model", Effect.as(checkModel(config), config.model)],
    ["tokenizer", Effect.provide(tokenizes, given)],
    ["gpu", devices],
    ["engine", Effect.provide(engineRuns, given)],
    ["data", Effect.as(checkData(config), config.data)],
    ["exposure", fault === null ? Effect.succeed("as configured") : Effect.fail(new Error(fault))],
    ["port", canListen(config)],
  ]
}

/** Resolves to the exit code: 0 where all is well. */
export const doctor = async (config: ConfigShape, out: (line: string) => void): Promise<number> => {
  let code = 0
  for (const [name, check] of checks(config)) {
    const exit = await Effect.runPromiseExit(
      check.pipe(Effect.scoped, Effect.provide(layerLogger("error"))),
    )
    if (Exit.isSuccess(exit)) out(`ok    ${name.padEnd(10)} ${exit.value}`)
    else {
      code = 1
      const cause: Cause.Cause<unknown> = exit.cause
      out(`FAIL  ${name.padEnd(10)} ${failureSentence(cause, config).replace(/^sluice: /, "")}`)
    }
  }
  return code
}
