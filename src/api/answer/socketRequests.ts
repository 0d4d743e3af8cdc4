// What each message of a WebSocket does: start a request, cancel one, go on with one. A message is
// finished when its request is durable or refused, so messages of one socket take effect in order.
import { Deferred, Effect } from "effect"
import { newRequestId } from "../../../streams/requestId.ts"
import { Config } from "../../config/Config.ts"
import type { RequestDraft } from "../../enqueue/Enqueue.ts"
import { Relay } from "../../relay/Relay.ts"
import { Metrics } from "../../telemetry/Metrics.ts"
import { Tokenizer } from "../../tokenizer/Tokenizer.ts"
import { apiError, codeOf, type Failure, isRefusal } from "../errors.ts"
import { meterOf } from "./answer.ts"
import { attend } from "./attend.ts"
import { Pacer } from "./Pacer.ts"
import { cancelRequest, isOver, viewFor } from "./requests.ts"
import type { ClientId, SocketMessage } from "./socketMessage.ts"
import type { SocketProtocol } from "./socketProtocol.ts"
import type { SocketSession } from "./SocketSession.ts"
import { type AnswerEnd, StreamAnswer } from "./StreamAnswer.ts"
import { endTrace } from "../trace.ts"

/** What the way in decided about a socket at its handshake. */
export interface SocketGate {
  readonly tenant: string
  readonly protocol: SocketProtocol
  /** Takes a token from the tenant's bucket, parses and tokenises one request. */
  readonly draft: (body: unknown, requestId: string) => Effect.Effect<RequestDraft, Failure>
}

/** Reads one message and does it; whatever is wrong with it becomes an error message. */
export const handleMessage = Effect.fnUntraced(function* (
  session: SocketSession,
  gate: SocketGate,
  bytes: Buffer,
) {
  const failTo = (clientId: ClientId) => (failure: Failure) =>
    Effect.sync(() => session.fail({ clientId, requestId: null }, failure))
  const message = yield* gate.protocol
    .parse(bytes)
    .pipe(Effect.catch((failure) => Effect.as(failTo(null)(failure), null)))
  if (message === null) return
  const { refused } = yield* Metrics
  const { servedModelName } = yield* Config
  yield* perform(session, gate, message).pipe(
    Effect.tapError((failure) =>
      Effect.sync(() => {
        if (message.kind === "request" && isRefusal(failure)) {
          refused(servedModelName, codeOf(failure))
        }
      }),
    ),
    Effect.catch(failTo(message.clientId)),
  )
})

const perform = Effect.fnUntraced(function* (
  session: SocketSession,
  gate: SocketGate,
  message: SocketMessage,
) {
  switch (message.kind) {
    case "request":
      return yield* startRequest(session, gate, message)
    case "cancel":
      return yield* cancelFromSocket(session, gate, message)
    case "resume":
      return yield* resumeRequest(session, gate, message)
  }
})

type MessageOf<Kind> = Extract<SocketMessage, { readonly kind: Kind }>

const startRequest = Effect.fnUntraced(function* (
  session: SocketSession,
  gate: SocketGate,
  { clientId, body }: MessageOf<"request">,
) {
  const pacer = yield* Pacer
  const { project, path } = gate.protocol
  const startedAt = pacer.now()
  const requestId = newRequestId(startedAt)
  const place = yield* session.reserve(clientId, requestId)
  const release = Effect.sync(() => session.release(place))
  const draft = yield* Effect.tapError(gate.draft(body, requestId), () => release)
  if (session.closed) return
  const { model: facts } = yield* Tokenizer
  const meter = yield* meterOf(draft)
  const stream = new StreamAnswer({ makeOutlet: session.outlet(place), pacer, meter })
  const open = yield* Deferred.make<void, Failure>()
  const answered = attend(draft, stream, (request) => {
    if (request.requestId !== requestId) {
      place.requestId = request.requestId
      meter.mute()
    }
    // Only a client that names its requests expects a message that is not a delta.
    if (clientId !== null) session.tell(place, { type: "accepted", cursor: 0 })
    stream.open({ request, projection: project(request, facts, clientId), cursor: 0 })
    Deferred.doneUnsafe(open, Effect.void)
  })
  yield* answered.pipe(
    Effect.matchEffect({
      onFailure: (failure) => Deferred.fail(open, failure),
      onSuccess: (end) => logEnd(draft, { route: path, startedAt, end }),
    }),
    Effect.ensuring(release),
    Effect.forkDetach,
  )
  yield* Deferred.await(open)
})

/** The line that an HTTP request gets from the edge; a request on a socket passes no edge. */
const logEnd = (
  draft: RequestDraft,
  facts: { readonly route: string; readonly startedAt: number; readonly end: AnswerEnd },
) =>
  Effect.gen(function* () {
    const { route, startedAt, end } = facts
    const { now } = yield* Pacer
    const line = {
      requestId: draft.requestId,
      route,
      durationMs: now() - startedAt,
      ...(draft.tenant === "" ? {} : { tenant: draft.tenant }),
      promptTokens: draft.prompts.reduce((sum, prompt) => sum + prompt.length, 0),
      outcome: end.outcome,
      completionTokens: end.completionTokens,
    }
    yield* Effect.annotateLogs(Effect.logInfo("request"), line)
    yield* endTrace(draft.requestId, draft.model, line)
  })

const cancelFromSocket = Effect.fnUntraced(function* (
  session: SocketSession,
  gate: SocketGate,
  message: MessageOf<"cancel">,
) {
  const { clientId } = message
  const requestId = message.requestId ?? session.requestIdOf(clientId)
  if (requestId === undefined) {
    return yield* apiError("invalidValue", "No request of this id runs here.", { param: "id" })
  }
  const { status } = yield* cancelRequest(requestId, gate.tenant)
  session.tell({ clientId, requestId }, { type: "cancel", status })
})

const resumeRequest = Effect.fnUntraced(function* (
  session: SocketSession,
  gate: SocketGate,
  { clientId, requestId, cursor }: MessageOf<"resume">,
) {
  const view = yield* viewFor(requestId, gate.tenant)
  const place = yield* session.reserve(clientId, requestId)
  const release = Effect.sync(() => session.release(place))
  // A client that has it all is told so by the last message once more.
  const from = isOver(view) && cursor === view.events ? cursor - 1 : cursor
  const { model: facts } = yield* Tokenizer
  const pacer = yield* Pacer
  const stream = new StreamAnswer({ makeOutlet: session.outlet(place), pacer, meter: null })
  const subscribed = (yield* Relay).subscribe(requestId, from, stream)
  stream.attach(yield* Effect.tapError(subscribed, () => release))
  if (clientId !== null) session.tell(place, { type: "resumed", cursor: from })
  const projection = gate.protocol.project(view.request, facts, clientId)
  yield* stream.ended.pipe(Effect.ensuring(release), Effect.forkDetach)
  stream.open({ request: view.request, projection, cursor: from })
})
