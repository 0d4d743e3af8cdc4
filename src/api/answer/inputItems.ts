// The input items of a stored response, as OpenAI lists them: a page of the messages that were said
// up to it, under ids that follow from the request's own, so that every relay lists the same.
import { Effect } from "effect"
import type { ConversationTurn, RequestAccepted } from "../../../schemas/types.ts"
import { apiError } from "../errors.ts"
import { messageIdOf } from "./dialect/responseObject.ts"

const limitMax = 100
const limitDefault = 20

const itemOf = (request: RequestAccepted, { role, content }: ConversationTurn, index: number) => ({
  id: `${messageIdOf(request.requestId)}_${index}`,
  type: "message",
  status: "completed",
  role,
  content: [
    role === "assistant"
      ? { type: "output_text", text: content, annotations: [] }
      : { type: "input_text", text: content },
  ],
})

const wrong = (param: string, expected: string) =>
  apiError("invalidValue", `${param} must be ${expected}.`, { param })

/** `?limit=`, `?order=asc|desc` and `?after=` with the id of the last item that is there. */
export const inputPage = Effect.fnUntraced(function* (
  request: RequestAccepted,
  query: URLSearchParams,
) {
  const limit = Number(query.get("limit") ?? limitDefault)
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= limitMax)) {
    return yield* wrong("limit", `a whole number from 1 to ${limitMax}`)
  }
  const order = query.get("order") ?? "desc"
  if (order !== "asc" && order !== "desc") return yield* wrong("order", "asc or desc")
  const said = request.answer.response?.conversation ?? []
  const items = said.map((turn, index) => itemOf(request, turn, index))
  const all = order === "asc" ? items : items.toReversed()
  const after = query.get("after")
  const start = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1
  if (after !== null && start === 0) return yield* wrong("after", "the id of an item of this list")
  const data = all.slice(start, start + limit)
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + limit < all.length,
  }
})
