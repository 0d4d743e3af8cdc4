// The console's routes: its page, what its page is told, and the two things it can do. The page
// itself holds nothing secret and asks for no key; all that it shows comes from routes that do.
import { Clock, Effect } from "effect"
import { Config } from "../config/Config.ts"
import { Console } from "../console/Console.ts"
import { listLetters, replayLetter } from "../enqueue/deadLetters.ts"
import { ModelCatalog } from "../enqueue/ModelCatalog.ts"
import { Workers } from "../enqueue/Workers.ts"
import { type Call, writeJson } from "./Call.ts"
import { sseHeaders, sseUnnumbered } from "./answer/sse.ts"
import { apiError } from "./errors.ts"
import { WorkerControl } from "./WorkerControl.ts"

const updateMs = 250
/** Metrics change slowly and cost more to gather. */
const updatesAGauge = 4
const viewersMax = 64
const lettersShownMax = 100

/** Nothing from elsewhere, nothing inline, and nobody's frame. */
const contentSecurity = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ")

const notBuilt = "The console's page is not there: `npm run console` builds it."

const writeFile = Effect.fnUntraced(function* ({ exchange: { req, res } }: Call, path: string) {
  const file = (yield* Console).file(path)
  if (file === null) {
    return yield* apiError("unknownRoute", path === "index.html" ? notBuilt : "No such file.")
  }
  const takesBrotli = /\bbr\b/.test(String(req.headers["accept-encoding"] ?? ""))
  const body = takesBrotli && file.compressed !== null ? file.compressed : file.bytes
  res.writeHead(200, {
    "content-type": file.type,
    "content-length": body.length,
    ...(body === file.bytes ? {} : { "content-encoding": "br" }),
    vary: "accept-encoding",
    "cache-control": file.isForEver ? "public, max-age=31536000, immutable" : "no-cache",
    "content-security-policy": contentSecurity,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  })
  res.end(body)
})

/** GET /console */
export const showConsole = (call: Call) => writeFile(call, "index.html")

/** GET /console/assets/{file} */
export const showConsoleFile = (call: Call) => writeFile(call, `assets/${call.params["file"]}`)

let viewers = 0

const refuseViewer = () =>
  apiError("tooManyRequests", "As many consoles as may be are open here already.", {
    retryAfterMs: 10_000,
    numbers: { viewers_max: viewersMax },
  })

/** GET /console/live: what there is, then what changes, four times a second, until it leaves. */
export const streamConsole = Effect.fnUntraced(function* ({ exchange, requestId }: Call) {
  if (viewers >= viewersMax) return yield* refuseViewer()
  const watched = yield* Console
  const workers = yield* Workers
  const { served } = yield* ModelCatalog
  const { development } = yield* Config
  const control = yield* WorkerControl
  const { res } = exchange
  const view = watched.view()
  let gauges = yield* watched.gauges
  res.writeHead(200, sseHeaders(requestId, { "content-type": "text/event-stream" }))
  const tell = (event: string, data: object) =>
    res.write(sseUnnumbered({ event, data: JSON.stringify(data) }))
  tell("hello", { model: served.name, development, canKill: control !== null, updateMs })
  const telling = Effect.gen(function* () {
    for (let update = 1; ; update++) {
      const nowMs = yield* Clock.currentTimeMillis
      if (update % updatesAGauge === 0) gauges = yield* watched.gauges
      // A viewer that does not read gets the next update instead: it holds nothing here.
      if (!res.writableNeedDrain) {
        tell("update", view.update({ nowMs, workers: workers.live(nowMs), gauges }))
      }
      yield* Effect.sleep(updateMs)
    }
  })
  const left = Effect.callback<void>((resume) => {
    if (res.destroyed) return resume(Effect.void)
    res.once("error", () => {})
    res.once("close", () => resume(Effect.void))
  })
  viewers++
  yield* Effect.raceFirst(telling, left).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        viewers--
        res.end()
      }),
    ),
  )
})

/** GET /console/dead-letters: the newest, without prompts. */
export const showLetters = Effect.fnUntraced(function* (call: Call) {
  const letters = yield* listLetters
  const shown = letters.slice(-lettersShownMax).map(({ letter, request }) => ({
    request_id: letter.requestId,
    dead_at: letter.deadAt,
    attempts: letter.attempts,
    code: letter.code,
    message: letter.message,
    replayable: request !== null,
  }))
  writeJson(call.exchange.res, { total: letters.length, letters: shown.toReversed() })
})

/** POST /console/dead-letters/{id}/replay: the same again, as a new request. */
export const postReplayLetter = Effect.fnUntraced(function* (call: Call) {
  const requestId = yield* replayLetter(call.params["id"] ?? null).pipe(
    Effect.catchTag("DeadLetterError", ({ message }) =>
      Effect.fail(apiError("unknownRoute", message)),
    ),
  )
  writeJson(call.exchange.res, { request_id: requestId })
})

/** POST /console/kill-worker: in development only. */
export const postKillWorker = Effect.fnUntraced(function* (call: Call) {
  const control = yield* WorkerControl
  if (control === null) {
    const message = "A worker can be killed in development only: `sluice serve --development`."
    return yield* apiError("unknownRoute", message)
  }
  yield* control.kill
  writeJson(call.exchange.res, { killed: true })
})
