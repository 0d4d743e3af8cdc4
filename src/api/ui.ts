// The routes of the Vercel AI SDK's useChat, at the paths of its default transport with `api` set
// to /v1/ui/chat.
import { answer } from "./answer/answer.ts"
import { chatEvents } from "./answer/chats.ts"
import type { Call } from "./Call.ts"
import { generation } from "./generations.ts"
import { parseUi } from "./parse/ui.ts"

/** POST /v1/ui/chat */
export const postUiChat = generation(parseUi, answer)

/** GET /v1/ui/chat/{id}/stream */
export const streamUiChat = (call: Call) =>
  chatEvents(call.params["id"] ?? "", call.tenant, call.exchange)
