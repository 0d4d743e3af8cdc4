// Fields that Sluice knows and cannot honour are refused by name: to ignore a tool or a prediction
// would answer another question than was asked. A neutral value (null, false, empty, the default)
// is fine. Fields that nobody knows are ignored, as other OpenAI-compatible servers do, and named
// in the debug log.
import { Effect, Predicate } from "effect"
import { apiError, type ApiError } from "../errors.ts"

const isNeutral = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  value === "" ||
  (Array.isArray(value) && value.length === 0) ||
  (Predicate.isObject(value) && Object.keys(value).length === 0)

const isNoTool = (value: unknown): boolean => value === "none" || value === "auto"

const isTextOnly = (value: unknown): boolean =>
  Array.isArray(value) && value.every((part) => part === "text")

type IsDefault = (value: unknown) => boolean

const never: IsDefault = () => false

const everywhere: ReadonlyArray<readonly [string, IsDefault]> = [
  ["use_beam_search", never],
  ["allowed_token_ids", never],
  ["bad_words", never],
  ["logits_processors", never],
  ["prompt_logprobs", never],
  ["truncate_prompt_tokens", never],
]

const table = (own: ReadonlyArray<readonly [string, IsDefault]>): ReadonlyMap<string, IsDefault> =>
  new Map([...everywhere, ...own])

export const unsupportedInCompletions = table([
  ["suffix", never],
  ["prompt_embeds", never],
])

export const unsupportedInChat = table([
  ["functions", never],
  ["function_call", isNoTool],
  ["modalities", isTextOnly],
  ["audio", never],
  ["prediction", never],
  ["web_search_options", never],
  ["echo", never],
  ["chat_template", never],
  ["documents", never],
  ["continue_final_message", never],
  ["mm_processor_kwargs", never],
])

const isDisabled = (value: unknown): boolean => value === "disabled"

export const unsupportedInResponses = table([
  ["tools", never],
  ["tool_choice", isNoTool],
  ["truncation", isDisabled],
  ["reasoning", never],
  ["conversation", never],
  ["prompt", never],
  ["context_management", never],
  ["max_tool_calls", never],
  ["moderation", never],
  ["n", (value) => value === 1],
  ["max_tokens", never],
])

export const refuseUnsupported = (
  body: unknown,
  unsupported: ReadonlyMap<string, IsDefault>,
): Effect.Effect<void, ApiError> => {
  if (!Predicate.isObject(body)) return Effect.void
  for (const [field, value] of Object.entries(body)) {
    const isDefault = unsupported.get(field)
    if (isDefault !== undefined && !isNeutral(value) && !isDefault(value)) {
      return Effect.fail(
        apiError("unsupported", `${field} is not supported by this server.`, { param: field }),
      )
    }
  }
  return Effect.void
}

const namedFieldsMax = 10
const fieldCharactersMax = 40

/** Names only, never values: they may be prompt text. */
export const logUnknownFields = (
  body: unknown,
  known: Readonly<Record<string, unknown>>,
): Effect.Effect<void> => {
  if (!Predicate.isObject(body)) return Effect.void
  const unknown = Object.keys(body).filter((field) => !Object.hasOwn(known, field))
  if (unknown.length === 0) return Effect.void
  const named = unknown.slice(0, namedFieldsMax).map((field) => field.slice(0, fieldCharactersMax))
  return Effect.annotateLogs(Effect.logDebug("fields ignored"), {
    fields: named.join(", "),
    count: unknown.length,
  })
}
