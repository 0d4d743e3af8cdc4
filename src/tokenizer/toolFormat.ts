// How a model writes a call of a tool, as its chat template shows: the marks that it puts around
// the calls of earlier turns.

/** own: it knows of no tools; they are told to it in words, and it is to answer as hermes. */
export type ToolFormat = "hermes" | "llama3" | "mistral" | "own"

export const toolFormatOf = (template: string | null): ToolFormat => {
  if (template === null || !/\btools\b/.test(template)) return "own"
  if (template.includes("[TOOL_CALLS]")) return "mistral"
  if (template.includes("<tool_call>")) return "hermes"
  return /python_tag|ipython/.test(template) ? "llama3" : "hermes"
}
