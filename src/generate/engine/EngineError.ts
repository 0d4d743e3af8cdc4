// Why an engine could not be opened, or died: what the operator can act on. Names that the addon
// gives its errors become reasons in one switch; anything else it throws is a defect of ours.
import { Schema } from "effect"

export class EngineError extends Schema.TaggedError<EngineError>()("EngineError", {
  reason: Schema.Literals([
    /** A setting that cannot work. */
    "invalid",
    /** A model that this engine does not run. */
    "unsupported",
    /** A model file that is not what it says it is. */
    "damaged",
    /** More memory than there is. */
    "tooLarge",
    "closed",
    /** The device failed. */
    "lost",
    /** A file that is missing or cannot be read. */
    "io",
    /** The addon is not built, or not for this Node. */
    "notBuilt",
  ]),
  message: Schema.String,
}) {}

/** Null where the error is no engine's: a defect. */
export const toEngineError = (error: unknown): EngineError | null => {
  if (!(error instanceof Error)) return null
  const reason = reasonOf(error.name)
  return reason === null ? null : new EngineError({ reason, message: error.message })
}

const reasonOf = (name: string): EngineError["reason"] | null => {
  switch (name) {
    case "EngineInvalid":
      return "invalid"
    case "EngineUnsupported":
      return "unsupported"
    case "EngineDamaged":
      return "damaged"
    case "EngineTooLarge":
      return "tooLarge"
    // The pool is full only at opening: what does not fit a running engine waits.
    case "EngineFull":
      return "tooLarge"
    case "EngineClosed":
      return "closed"
    case "EngineLost":
      return "lost"
    case "EngineIo":
      return "io"
    default:
      return null
  }
}
