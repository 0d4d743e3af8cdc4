// Looks at the folders of a configuration before anything opens them, so that what is wrong with
// one is said in a sentence that names it.
import { accessSync, constants, existsSync, mkdirSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { Effect, Schema } from "effect"
import type { ConfigShape } from "../config/Config.ts"

class FolderError extends Schema.TaggedError<FolderError>()("FolderError", {
  message: Schema.String,
}) {}

const refuse = (message: string) => new FolderError({ message })

const systemReason = (cause: unknown): string => {
  const message = cause instanceof Error ? cause.message : String(cause)
  return message.split(",")[0] ?? message
}

/**
 * One level at a time: node's own recursive mkdir never returns where a file system answers ENOENT
 * below a folder that exists, as /proc does.
 */
const makeFolder = (path: string): void => {
  if (existsSync(path)) return
  if (dirname(path) !== path) makeFolder(dirname(path))
  mkdirSync(path)
}

export const checkData = ({ data }: ConfigShape): Effect.Effect<void, FolderError> =>
  Effect.try({
    try: () => {
      makeFolder(data)
      accessSync(data, constants.R_OK | constants.W_OK | constants.X_OK)
    },
    catch: (cause) =>
      refuse(
        `the data folder ${data} cannot be written (${systemReason(cause)}); ` +
          "choose another with --data.",
      ),
  })

export const checkModel = ({ model }: ConfigShape): Effect.Effect<void, FolderError> =>
  Effect.suspend(() => {
    const found = existsSync(model)
    if (found && statSync(model).isDirectory() && existsSync(join(model, "config.json"))) {
      return Effect.void
    }
    const what = found
      ? "is no Hugging Face model folder: config.json is missing"
      : "does not exist"
    return Effect.fail(
      refuse(
        `the model folder ${model} ${what}; --model takes a folder with config.json, ` +
          "tokenizer.json and *.safetensors.",
      ),
    )
  })
