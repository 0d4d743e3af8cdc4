// Messages to prompt text by the folder's chat template, as transformers renders it: same
// variables, trimmed blocks. A template that refuses the messages (raise_exception) or does not fit
// them is a typed error with the template's own sentence.
import { Template } from "@huggingface/jinja"
import { Effect } from "effect"
import { type ModelFolder, specialText } from "./modelFolder.ts"
import { type ToolFormat, toolFormatOf } from "./toolFormat.ts"
import { type ChatMessage, type RenderOptions, TokenizerError } from "./Tokenizer.ts"

export type RenderChat = (
  messages: ReadonlyArray<ChatMessage>,
  options: RenderOptions,
) => Effect.Effect<string, TokenizerError>

interface Templates {
  readonly chat: string
  /** Its own template for requests with tools, where the folder has one. */
  readonly withTools: string
}

/** chat_template.jinja goes before tokenizer_config.json, as in transformers. */
const templatesOf = ({ templateFile, tokenizerConfig }: ModelFolder): Templates | null => {
  const found = templateFile ?? tokenizerConfig.chat_template ?? null
  if (found === null) return null
  if (typeof found === "string") return { chat: found, withTools: found }
  const named = new Map(found.map(({ name, template }) => [name, template]))
  const chat = named.get("default")
  return chat === undefined ? null : { chat, withTools: named.get("tool_use") ?? chat }
}

const failed = (cause: unknown) => {
  const why = cause instanceof Error ? cause.message : String(cause)
  const message = `the chat template refused the messages: ${why}`
  return new TokenizerError({ reason: "templateFailed", message })
}

const compile = (source: string) => {
  let template: Template | null = null
  return () => (template ??= new Template(source))
}

/** Only those that exist: templates ask `if bos_token`, and `is defined`. */
const specialVariables = (folder: ModelFolder): Record<string, string> => {
  const variables: Record<string, string> = {}
  for (const name of ["bos_token", "eos_token", "unk_token", "pad_token"] as const) {
    const text = specialText(folder, name)
    if (text !== null) variables[name] = text
  }
  return variables
}

export const toolFormat = (folder: ModelFolder): ToolFormat =>
  toolFormatOf(templatesOf(folder)?.withTools ?? null)

/** null where the folder has no chat template. */
export const makeRenderChat = (folder: ModelFolder): RenderChat | null => {
  const templates = templatesOf(folder)
  if (templates === null) return null
  const chat = compile(templates.chat)
  const withTools = compile(templates.withTools)
  const special = specialVariables(folder)
  return (messages, { tools, addGenerationPrompt, variables }) =>
    Effect.try({
      try: () =>
        (tools === null ? chat : withTools)().render({
          ...variables,
          ...special,
          messages,
          tools,
          documents: null,
          add_generation_prompt: addGenerationPrompt,
        }),
      catch: failed,
    })
}
