// What a client may say on WS /v1/stream: a request (any object without a `type`), a cancel, a
// resume. The request's own fields belong to the parser of requests; here only who is meant is
// read.
import { Effect, Schema } from "effect"
import { parseJson } from "../body.ts"
import { apiError, type ApiError } from "../errors.ts"

/**
 * The client's own name for one of several requests on a socket; null: the only one without a name.
 */
export type ClientId = string | null

export type SocketMessage =
  | { readonly kind: "request"; readonly clientId: ClientId; readonly body: unknown }
  | {
      readonly kind: "cancel"
      readonly clientId: ClientId
      readonly requestId: string | null
    }
  | {
      readonly kind: "resume"
      readonly clientId: ClientId
      readonly requestId: string
      readonly cursor: number
    }

const clientIdLengthMax = 128

const expected = `a text of 1 to ${clientIdLengthMax} characters`
const id = Schema.NullishOr(
  Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(clientIdLengthMax)),
)

const Envelope = Schema.Struct({
  type: Schema.optionalKey(Schema.Literals(["request", "cancel", "resume"])),
  id: Schema.optionalKey(id),
  request_id: Schema.optionalKey(Schema.NullishOr(Schema.String)),
  cursor: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
})

const decodeEnvelope = Schema.decodeUnknownEffect(Envelope)

const badEnvelope = () =>
  apiError(
    "invalidValue",
    `A message is an object; type, where given, is "request", "cancel" or "resume"; ` +
      `id is ${expected}; ` +
      "request_id is a request's id; cursor is a whole number from 0 on.",
  )

export const parseSocketMessage = Effect.fnUntraced(function* (
  bytes: Buffer,
): Effect.fn.Return<SocketMessage, ApiError> {
  const body = yield* parseJson(bytes)
  const envelope = yield* Effect.mapError(decodeEnvelope(body), badEnvelope)
  const clientId = envelope.id ?? null
  const requestId = envelope.request_id ?? null
  switch (envelope.type ?? "request") {
    case "request":
      return { kind: "request", clientId, body }
    case "cancel":
      return { kind: "cancel", clientId, requestId }
    case "resume":
      if (requestId === null) {
        return yield* apiError("missing", "A resume names its request_id.", { param: "request_id" })
      }
      return { kind: "resume", clientId, requestId, cursor: envelope.cursor ?? 0 }
  }
})
