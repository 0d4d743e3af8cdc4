// Every route that Sluice answers: one table, read by the router, by /openapi.json, by the 405
// answer and by the tests.
import {
  postKillWorker,
  postReplayLetter,
  showConsole,
  showConsoleFile,
  showLetters,
  streamConsole,
} from "./console.ts"
import { streamMessages, streamText } from "./durable.ts"
import { postChat, postCompletions } from "./generations.ts"
import { showHealth, showMetrics, showReady } from "./health.ts"
import { showHint } from "./hint.ts"
import { listModels, showModel } from "./models.ts"
import { describeRoutes } from "./openapi.ts"
import { ChatBody } from "./parse/chat.ts"
import { CompletionsBody } from "./parse/completions.ts"
import { ResponsesBody } from "./parse/responses.ts"
import { StreamBody } from "./parse/stream.ts"
import { UiBody } from "./parse/ui.ts"
import { getResponse, getResponseInput, postResponseCancel, postResponses } from "./responses.ts"
import { deleteRequest, showRequest, streamRequest } from "./requests.ts"
import type { Route } from "./Route.ts"
import { refusePlainStream } from "./socket.ts"
import { postUiChat, streamUiChat } from "./ui.ts"
import { DetokenizeBody, postDetokenize, postTokenize, TokenizeBody } from "./tokenize.ts"

const json = "application/json"
const sse = "text/event-stream"
const plain = "text/plain"
const html = "text/html"

const keyed = {
  open: false,
  resume: false,
  generates: false,
  body: null,
  message: null,
  types: [json],
  statuses: [200],
}
const generating = { ...keyed, generates: true, types: [json, sse] }
const resumed = { ...keyed, resume: true }
const open = { ...keyed, open: true, resume: true }

export const routes: ReadonlyArray<Route> = [
  {
    ...generating,
    method: "POST",
    path: "/v1/completions",
    summary: "Complete a prompt, whole or as server-sent events.",
    body: CompletionsBody,
    handle: postCompletions,
  },
  {
    ...generating,
    method: "POST",
    path: "/v1/chat/completions",
    summary: "Answer a conversation, whole or as server-sent events.",
    body: ChatBody,
    handle: postChat,
  },
  {
    ...generating,
    method: "POST",
    path: "/v1/responses",
    summary: "Make a response: whole, as server-sent events, or in the background.",
    body: ResponsesBody,
    handle: postResponses,
  },
  {
    ...keyed,
    method: "GET",
    path: "/v1/responses",
    summary: "WebSocket: responses asked for by response.create, told apart by stream_id.",
    message: ResponsesBody,
    statuses: [101, 426],
    handle: refusePlainStream,
  },
  {
    ...resumed,
    method: "GET",
    path: "/v1/responses/:id",
    summary: "A response as it stands, or its events after ?starting_after=, with ?stream=true.",
    types: [json, sse],
    statuses: [200, 204, 404, 410],
    handle: getResponse,
  },
  {
    ...resumed,
    method: "GET",
    path: "/v1/responses/:id/input_items",
    summary: "What was said up to a response: ?limit=, ?order=, ?after=.",
    statuses: [200, 404, 410],
    handle: getResponseInput,
  },
  {
    ...resumed,
    method: "POST",
    path: "/v1/responses/:id/cancel",
    summary: "Cancel a response; acknowledged once durable.",
    statuses: [200, 404, 410],
    handle: postResponseCancel,
  },
  {
    ...generating,
    method: "POST",
    path: "/v1/ui/chat",
    summary: "Answer a chat of the Vercel AI SDK's useChat, as UI message chunks.",
    body: UiBody,
    types: [sse],
    handle: postUiChat,
  },
  {
    ...resumed,
    method: "GET",
    path: "/v1/ui/chat/:id/stream",
    summary: "The answer that a chat is getting now, from its start; 204: none.",
    types: [sse],
    statuses: [200, 204],
    handle: streamUiChat,
  },
  {
    ...keyed,
    method: "GET",
    path: "/v1/models",
    summary: "The models that are served.",
    handle: listModels,
  },
  {
    ...keyed,
    method: "GET",
    path: "/v1/models/:id",
    summary: "One model.",
    statuses: [200, 404],
    handle: showModel,
  },
  {
    ...keyed,
    method: "POST",
    path: "/tokenize",
    summary: "Text or messages to token ids.",
    body: TokenizeBody,
    handle: postTokenize,
  },
  {
    ...keyed,
    method: "POST",
    path: "/detokenize",
    summary: "Token ids to text.",
    body: DetokenizeBody,
    handle: postDetokenize,
  },
  {
    ...keyed,
    method: "GET",
    path: "/v1/stream",
    summary: "WebSocket: completions and chats on one connection, with cancel and resume.",
    message: StreamBody,
    statuses: [101, 426],
    handle: refusePlainStream,
  },
  {
    ...resumed,
    method: "GET",
    path: "/v1/requests/:id",
    summary: "A request as it stands: status, text so far, cursor, usage.",
    statuses: [200, 404, 410],
    handle: showRequest,
  },
  {
    ...resumed,
    method: "GET",
    path: "/v1/requests/:id/events",
    summary: "A request's events after ?cursor= or Last-Event-ID; 204 once all were delivered.",
    types: [sse],
    statuses: [200, 204, 404, 410],
    handle: streamRequest,
  },
  {
    ...resumed,
    method: "GET",
    path: "/v1/streams/:id",
    summary: "A request's messages as a Durable Stream of JSON, for any of its clients to read.",
    types: [json, sse],
    statuses: [200, 204, 304, 404, 410],
    handle: streamMessages,
  },
  {
    ...resumed,
    method: "GET",
    path: "/v1/streams/:id/text",
    summary: "The text of a request's first choice as a Durable Stream.",
    types: [plain, sse],
    statuses: [200, 204, 304, 404, 410],
    handle: streamText,
  },
  {
    ...resumed,
    method: "DELETE",
    path: "/v1/requests/:id",
    summary: "Cancel a request; acknowledged once durable.",
    statuses: [200, 404, 410],
    handle: deleteRequest,
  },
  {
    ...open,
    method: "GET",
    path: "/health",
    summary: "The process answers.",
    handle: showHealth,
  },
  {
    ...open,
    method: "GET",
    path: "/ready",
    summary: "The log is open and a worker has the model loaded; 503 says what is missing.",
    statuses: [200, 503],
    handle: showReady,
  },
  {
    ...open,
    method: "GET",
    path: "/metrics",
    summary: "Metrics in Prometheus' text format.",
    types: [plain],
    handle: showMetrics,
  },
  {
    ...open,
    method: "GET",
    path: "/openapi.json",
    summary: "This description.",
    handle: describeRoutes(() => routes),
  },
  {
    ...open,
    resume: false,
    method: "GET",
    path: "/console",
    summary: "A page to see the server run, and to try it.",
    types: [html],
    handle: showConsole,
  },
  {
    ...open,
    resume: false,
    method: "GET",
    path: "/console/assets/:file",
    summary: "What that page is made of.",
    types: [html],
    statuses: [200, 404],
    handle: showConsoleFile,
  },
  {
    ...keyed,
    method: "GET",
    path: "/console/live",
    summary: "What the console shows, as server-sent events.",
    types: [sse],
    handle: streamConsole,
  },
  {
    ...keyed,
    method: "GET",
    path: "/console/dead-letters",
    summary: "The requests that were given up, the newest first.",
    handle: showLetters,
  },
  {
    ...keyed,
    method: "POST",
    path: "/console/dead-letters/:id/replay",
    summary: "One of them again, as a new request.",
    statuses: [200, 404],
    handle: postReplayLetter,
  },
  {
    ...keyed,
    method: "POST",
    path: "/console/kill-worker",
    summary: "In development: kills the worker, and starts another.",
    statuses: [200, 404],
    handle: postKillWorker,
  },
  {
    ...open,
    method: "GET",
    path: "/",
    summary: "What this server is.",
    types: [plain],
    handle: showHint,
  },
]
