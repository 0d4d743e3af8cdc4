// How a request that did not finish is told to its client: the same object in an open stream, in a
// WebSocket message and, with its status, instead of a whole answer.
import type { TerminalEvent } from "../../../../streams/fold/requestState.ts"
import { type ApiError, apiError } from "../../errors.ts"

/** null for a request that finished. Texts come from the log, so a replay shows the same. */
export const terminalError = (event: TerminalEvent): ApiError | null => {
  switch (event.outcome) {
    case "finished":
      return null
    case "failed":
      return apiError("generationFailed", event.message || "The generation failed.")
    case "cancelled":
      return apiError("cancelled", "The request was cancelled.")
    case "expired":
      return apiError("expired", event.message || "The request was not finished by its deadline.")
    case "deadLettered":
      return apiError(
        "deadLettered",
        event.message || "The request was given up after several workers failed on it.",
      )
  }
}
