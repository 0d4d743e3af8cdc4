// A gateway of the simulation: the product's Enqueue, Relay and answers over a faulty log, with
// connections in the place of sockets. HTTP is left out, for it is node's own; everything from the
// parsed draft to the bytes of each frame is the product's.
import { Context, Effect, Layer, Scope } from "effect"
import { cancelRequest, isOver, viewFor } from "../../src/api/answer/requests.ts"
import { attend } from "../../src/api/answer/attend.ts"
import { dialectOf } from "../../src/api/answer/dialect/dialects.ts"
import type { Frame, Projection } from "../../src/api/answer/dialect/Projection.ts"
import type { MakeOutlet, Outlet, OutletHooks } from "../../src/api/answer/Outlet.ts"
import { Pacer } from "../../src/api/answer/Pacer.ts"
import { sseFrame, sseUnnumbered } from "../../src/api/answer/sse.ts"
import { StreamAnswer } from "../../src/api/answer/StreamAnswer.ts"
import type { ErrorBody, Failure } from "../../src/api/errors.ts"
import { Config, type ConfigShape } from "../../src/config/Config.ts"
import { Enqueue, type RequestDraft } from "../../src/enqueue/Enqueue.ts"
import { layerEnqueue } from "../../src/enqueue/layer.ts"
import { ModelCatalog } from "../../src/enqueue/ModelCatalog.ts"
import { Reaper } from "../../src/enqueue/Reaper.ts"
import { Workers } from "../../src/enqueue/Workers.ts"
import { layerRelayWithin } from "../../src/relay/layer.ts"
import { Relay } from "../../src/relay/Relay.ts"
import { layerMetrics } from "../../src/telemetry/registry.ts"
import type { Log } from "../../streams/Log.ts"
import { letters } from "../support/generate.ts"
import type { Connection } from "./Connection.ts"
import { typedLogs } from "./logs.ts"
import type { Machine } from "./Machine.ts"

/** So small that a slow client fills it, and that history takes several reads. */
const outletBytesMax = 600
const readBytes = 2_000

class ConnectionOutlet implements Outlet {
  readonly #connection: Connection
  readonly #projection: Projection
  readonly #now: () => number
  readonly #openedAt: number
  #pending = ""
  #delivered = 0
  #beganFull = false
  #fedOn = 0

  constructor(connection: Connection, hooks: OutletHooks, requestId: string, made: Projection) {
    this.#connection = connection
    this.#projection = made
    this.#now = connection.now
    this.#openedAt = connection.now()
    connection.head({ kind: "stream", requestId })
    connection.listen({
      onGone: () => hooks.onGone(),
      onRoom: () => {
        this.#fedOn = 0
        this.#send()
        if (!this.full) hooks.onRoom()
      },
    })
  }

  get full(): boolean {
    return this.#connection.full || this.#pending.length >= outletBytesMax
  }

  put(frame: Frame): void {
    if (this.#delivered === 0) this.#beganFull = this.full
    this.#delivered++
    this.#pending += sseFrame(frame)
  }

  /**
   * Nothing is delivered to who is full, but for what was held until it opened and the one delivery
   * that finds it full then.
   */
  commit(): void {
    if (this.#beganFull && this.#now() > this.#openedAt) this.#fedOn++
    this.#delivered = 0
    this.#beganFull = false
    if (this.#fedOn > 1) throw new Error("a client that is full was fed on")
    this.#send()
  }

  #send(): void {
    if (this.#connection.full) return
    this.#connection.write(this.#pending)
    this.#pending = ""
  }

  end(): void {
    this.#connection.write(this.#pending)
    this.#pending = ""
    this.#connection.end()
  }

  fail(body: ErrorBody): void {
    this.#pending += sseUnnumbered(this.#projection.fault(body))
    this.end()
  }
}

const outletOn =
  (connection: Connection): MakeOutlet =>
  (hooks, requestId, projection) =>
    new ConnectionOutlet(connection, hooks, requestId, projection)

const create = Effect.fnUntraced(function* (draft: RequestDraft, connection: Connection) {
  const pacer = yield* Pacer
  const makeProjection = yield* dialectOf(draft.dialect)
  const stream = new StreamAnswer({ makeOutlet: outletOn(connection), pacer, meter: null })
  yield* attend(draft, stream, (request) => {
    stream.open({ request, projection: makeProjection(request, letters), cursor: 0 })
  })
})

/** As GET /v1/requests/{id}/events does it. */
const resume = Effect.fnUntraced(function* (
  requestId: string,
  cursor: number,
  connection: Connection,
) {
  const view = yield* viewFor(requestId, "")
  const projection = (yield* dialectOf(view.request.dialect))(view.request, letters)
  if (isOver(view) && cursor >= projection.cursorOf(view)) {
    return connection.head({ kind: "complete" })
  }
  const relay = yield* Relay
  const pacer = yield* Pacer
  const stream = new StreamAnswer({ makeOutlet: outletOn(connection), pacer, meter: null })
  yield* Effect.acquireUseRelease(
    relay.subscribe(requestId, projection.needsHistory ? 0 : cursor, stream),
    (subscription) => {
      stream.attach(subscription)
      stream.open({ request: view.request, projection, cursor })
      return stream.ended
    },
    () => Effect.sync(() => stream.close()),
  )
})

const cancel = Effect.fnUntraced(function* (requestId: string, connection: Connection) {
  yield* cancelRequest(requestId, "")
  connection.head({ kind: "cancelled" })
})

const layerRelease = Layer.effectDiscard(
  Effect.gen(function* () {
    const { onEnded } = yield* Relay
    const { ended } = yield* Enqueue
    const reaper = yield* Reaper
    onEnded((requestId) => {
      ended(requestId)
      reaper.ended(requestId)
    })
  }),
)

const layerModels = Layer.succeed(ModelCatalog, {
  served: { name: "scripted", version: "1", contextTokensMax: 4096, createdAt: 0 },
  ready: Effect.succeed(null),
})

const layerGateway = (log: Log["Service"], config: ConfigShape) =>
  layerRelease.pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        layerEnqueue,
        layerRelayWithin({ subscribersMax: 1_000, readBytes }),
        Reaper.layer,
        Pacer.layer,
      ),
    ),
    Layer.provide(Layer.mergeAll(layerModels, Workers.layer, layerMetrics)),
    Layer.provideMerge(typedLogs(log)),
    Layer.provideMerge(Layer.succeed(Config, config)),
  )

type Services = Layer.Success<ReturnType<typeof layerGateway>>

export class Gateway {
  readonly machine: Machine
  readonly #scope = Scope.makeUnsafe()
  #services: Context.Context<Services> | null = null

  constructor(machine: Machine, log: Log["Service"], config: ConfigShape) {
    this.machine = machine
    machine.fork(
      Effect.gen({ self: this }, function* () {
        const layer = Layer.fresh(layerGateway(log, config))
        this.#services = yield* Layer.buildWithScope(layer, this.#scope)
        // Nobody gets a token any more: the process ends.
        const relay = Context.get(this.#services, Relay)
        yield* Effect.catch(relay.lost, () => Effect.sync(() => this.machine.kill()))
      }),
    )
  }

  get isReady(): boolean {
    return this.machine.isUp && this.#services !== null
  }

  readonly create = (draft: RequestDraft, connection: Connection): void =>
    this.#serve(create(draft, connection), connection)

  readonly resume = (requestId: string, cursor: number, connection: Connection): void =>
    this.#serve(resume(requestId, cursor, connection), connection)

  readonly cancel = (requestId: string, connection: Connection): void =>
    this.#serve(cancel(requestId, connection), connection)

  #serve(effect: Effect.Effect<unknown, Failure, Services>, connection: Connection): void {
    const services = this.#services
    if (services === null) {
      return connection.head({ kind: "refused", tag: "Connection", reason: "notThere" })
    }
    this.machine.fork(
      effect.pipe(
        Effect.catch(({ _tag: tag, reason }) =>
          Effect.sync(() => connection.head({ kind: "refused", tag, reason })),
        ),
        Effect.provideContext(services),
      ),
    )
  }
}
