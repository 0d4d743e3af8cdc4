// Enqueue and Relay in memory for tests of the answers: requests are accepted as the test lets them
// be, and their events come when the test says so. Pausing, resuming and closing are as in the real
// relay.
import { Effect, Layer } from "effect"
import type { RequestAccepted } from "../../../schemas/types.ts"
import { Enqueue, EnqueueError, type RequestDraft } from "../../../src/enqueue/Enqueue.ts"
import {
  Relay,
  RelayError,
  type RequestView,
  type Subscriber,
  type Subscription,
} from "../../../src/relay/Relay.ts"
import type { RequestEvent } from "../../../streams/fold/requestState.ts"

interface Follower {
  readonly requestId: string
  readonly subscriber: Subscriber
  given: number
  paused: boolean
}

export class FakeStages {
  readonly requests = new Map<string, RequestAccepted>()
  readonly events = new Map<string, Array<RequestEvent>>()
  readonly cancels: Array<{ readonly requestId: string; readonly by: string }> = []
  /** What a submit waits for, or fails with. */
  onSubmit: Effect.Effect<void, EnqueueError> = Effect.void
  /** A subscription fails at once with it. */
  refusal: RelayError | null = null
  /** At most so many events in one delivery. */
  deliveryMax = 1000
  readonly #followers = new Set<Follower>()

  get subscribers(): number {
    return this.#followers.size
  }

  /** Events that some subscriber of the request has taken. */
  taken(requestId: string): number {
    const all = [...this.#followers].filter((follower) => follower.requestId === requestId)
    return Math.max(0, ...all.map((follower) => follower.given))
  }

  /** Appends to the request's log and gives it to whoever listens. */
  say(requestId: string, events: ReadonlyArray<RequestEvent>): void {
    this.#log(requestId).push(...events)
    for (const follower of new Set(this.#followers)) this.#deliver(follower)
  }

  breakOff(error: RelayError): void {
    for (const { subscriber } of new Set(this.#followers)) subscriber.onError(error)
  }

  layer(): Layer.Layer<Relay | Enqueue> {
    return Layer.mergeAll(
      Layer.succeed(Relay, {
        subscribeNew: (requestId, subscriber) => {
          if (this.refusal !== null) subscriber.onError(this.refusal)
          return this.#follow(requestId, 0, subscriber)
        },
        subscribe: (requestId, cursor, subscriber) =>
          cursor > this.#log(requestId).length
            ? Effect.fail(new RelayError({ reason: "cursorAhead", message: "ahead" }))
            : Effect.sync(() => this.#follow(requestId, cursor, subscriber)),
        lost: Effect.never,
        find: (requestId) => Effect.map(this.#view(requestId), (view) => view.request),
        findChat: ({ clientId }) =>
          Effect.sync(() => {
            const all = [...this.requests.values()]
            return all.findLast(({ answer }) => answer.clientId === clientId) ?? null
          }),
        view: (requestId) => this.#view(requestId),
        onEnded: () => {},
        watch: () => {},
        remember: () => {},
      }),
      Layer.succeed(Enqueue, {
        submit: (draft) => Effect.map(this.onSubmit, () => this.#accept(draft)),
        ended: () => {},
        cancel: (requestId, by) =>
          Effect.sync(() => {
            this.cancels.push({ requestId, by })
          }),
      }),
    )
  }

  #accept(draft: RequestDraft): RequestAccepted {
    const { timeoutMs, idempotency: _, ...rest } = draft
    const acceptedAt = 1_800_000_000_000
    const deadline = timeoutMs === null ? 4_000_000_000_000 : acceptedAt + timeoutMs
    const request = { ...rest, acceptedAt, deadline, version: "1" }
    this.requests.set(request.requestId, request)
    return request
  }

  #log(requestId: string): Array<RequestEvent> {
    const log = this.events.get(requestId) ?? []
    this.events.set(requestId, log)
    return log
  }

  #follow(requestId: string, cursor: number, subscriber: Subscriber): Subscription {
    const follower = { requestId, subscriber, given: cursor, paused: false }
    this.#followers.add(follower)
    this.#deliver(follower)
    return {
      resume: () => {
        follower.paused = false
        this.#deliver(follower)
      },
      close: () => void this.#followers.delete(follower),
    }
  }

  #deliver(follower: Follower): void {
    const log = this.#log(follower.requestId)
    while (!follower.paused && follower.given < log.length && this.#followers.has(follower)) {
      const events = log.slice(follower.given, follower.given + this.deliveryMax)
      follower.given += events.length
      follower.paused = !follower.subscriber.onEvents(events)
    }
  }

  #view(requestId: string): Effect.Effect<RequestView, RelayError> {
    const request = this.requests.get(requestId)
    if (request === undefined) {
      return Effect.fail(new RelayError({ reason: "unknownRequest", message: "unknown" }))
    }
    const events = this.#log(requestId)
    const last = events.at(-1)
    const terminal = last?.kind === "terminal" ? last : null
    const texts = Array.from({ length: request.prompts.length * request.n }, () => "")
    for (const event of events) {
      if (event.kind === "token") texts[event.choice] += event.text
    }
    return Effect.succeed({
      request,
      state: terminal?.outcome ?? "running",
      attempt: 1,
      events: events.length,
      texts,
      scored: [],
      finishes: texts.map(() => null),
      completionTokens: terminal?.completionTokens ?? events.length,
      terminal,
    })
  }
}
