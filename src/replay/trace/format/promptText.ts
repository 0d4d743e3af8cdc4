// A request's prompt as one text, for formats that have nothing else.
import type { TraceRequest } from "../Trace.ts"

/** Empty where there are only lengths or ids: a text is not made up in an export. */
export const promptText = ({ prompt }: TraceRequest): string => {
  if (prompt?.kind === "text") return prompt.text
  if (prompt?.kind === "messages") return prompt.messages.map(({ content }) => content).join("\n")
  return ""
}
