// The two ways in which clients speak on a WebSocket: the seed's on /v1/stream, and OpenAI's on
// /v1/responses, where requests are told apart by lanes and cannot be cancelled or resumed (HTTP
// does both). How messages are read, events shown and failures told; what they do is the same.
import { Effect, Schema } from "effect"
import type { RequestAccepted } from "../../../schemas/types.ts"
import { parseJson } from "../body.ts"
import { apiError, type ApiError, type Failure, toErrorBody, toHttp } from "../errors.ts"
import type { ModelFacts, Projection } from "./dialect/Projection.ts"
import { responsesProjectionAs } from "./dialect/responses.ts"
import { streamProjectionAs } from "./dialect/stream.ts"
import { type ClientId, parseSocketMessage, type SocketMessage } from "./socketMessage.ts"

/** Who a message from the server is about. */
export interface About {
  readonly clientId: ClientId
  readonly requestId: string | null
}

export interface SocketProtocol {
  readonly path: "/v1/stream" | "/v1/responses"
  readonly parse: (bytes: Buffer) => Effect.Effect<SocketMessage, ApiError>
  readonly project: (request: RequestAccepted, facts: ModelFacts, clientId: ClientId) => Projection
  /** Clients that name their requests are told of what is no event of them. */
  readonly tells: boolean
  /** The message of a failure before a request has events. */
  readonly failure: (about: About, failure: Failure) => Readonly<Record<string, unknown>>
}

export const streamProtocol: SocketProtocol = {
  path: "/v1/stream",
  parse: parseSocketMessage,
  project: streamProjectionAs,
  tells: true,
  failure: ({ clientId, requestId }, failure) => ({
    ...(clientId === null ? {} : { id: clientId }),
    ...(requestId === null ? {} : { request_id: requestId }),
    ...toErrorBody(failure),
  }),
}

const Create = Schema.Struct({
  type: Schema.Literal("response.create"),
  stream_id: Schema.optionalKey(
    Schema.NullishOr(Schema.String.check(Schema.isPattern(/^[\w.-]{1,256}$/))),
  ),
})

const decodeCreate = Schema.decodeUnknownEffect(Create)

const badMessage = () =>
  apiError(
    "invalidValue",
    'A message is an object whose type is "response.create"; stream_id, where given, is 1 to 256 ' +
      "letters, digits, dots, dashes or underscores.",
    { param: "type" },
  )

export const responsesProtocol: SocketProtocol = {
  path: "/v1/responses",
  parse: Effect.fnUntraced(function* (bytes: Buffer) {
    const body = yield* parseJson(bytes)
    const envelope = yield* Effect.mapError(decodeCreate(body), badMessage)
    return { kind: "request", clientId: envelope.stream_id ?? null, body }
  }),
  project: responsesProjectionAs,
  tells: false,
  failure: ({ clientId }, failure) => ({
    type: "error",
    status: toHttp(failure).status,
    ...toErrorBody(failure),
    ...(clientId === null ? {} : { stream_id: clientId }),
  }),
}
