// A request of the bundled model that another worker left half done, cut after any of its tokens:
// what the adopting worker makes of it is what an undisturbed run makes, byte for byte. Ids, texts,
// logprobs, and where each choice ends.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { RequestAccepted, Sampling, TokenEntry } from "../../schemas/types.ts"
import { Config } from "../../src/config/Config.ts"
import { defaults } from "../../src/config/settings.ts"
import { Engine } from "../../src/generate/engine/Engine.ts"
import { openNative } from "../../src/generate/engine/NativeEngine.ts"
import { Worker } from "../../src/generate/Worker.ts"
import { layerMetrics } from "../../src/telemetry/registry.ts"
import { makeTokenizer } from "../../src/tokenizer/layer.ts"
import { Tokenizer } from "../../src/tokenizer/Tokenizer.ts"
import { apply, emptyState, type TokenEvent } from "../../streams/fold/requestState.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { accepted } from "../support/generate.ts"
import { talesFolder, talesOptions } from "../support/talesEngine.ts"
import { makeWorld } from "../support/workerWorld.ts"

type World = Effect.Success<typeof makeWorld>

const noEvents = (): Array<TokenEvent> => []

const layerWorker = (world: World) =>
  Worker.layer.pipe(
    Layer.provide(Layer.effect(Engine, openNative(talesOptions))),
    Layer.provide(Layer.effect(Tokenizer, makeTokenizer(talesFolder))),
    Layer.provide(Layer.succeed(Config, { ...defaults(), servedModelName: "scripted" })),
    Layer.provide(Layer.succeedContext(world.context)),
    Layer.provide(layerMetrics),
  )

/** The token events of requests, once all have ended, and how many claims it took. */
const endsOf = Effect.fnUntraced(function* (world: World, ids: ReadonlyArray<string>) {
  for (let tries = 0; tries < 1000; tries++) {
    const found = new Map(ids.map((id) => [id, { state: emptyState(), events: noEvents() }]))
    for (const { writer, entry } of yield* world.entries) {
      const one = found.get(entry.requestId)
      if (one === undefined) continue
      for (const event of apply(one.state, writer, entry)) {
        if (event.kind === "token") one.events.push(event)
      }
    }
    const ends = [...found.values()]
    if (ends.every(({ state }) => state.terminal?.outcome === "finished")) return ends
    yield* Effect.sleep(50)
  }
  throw new Error("some request did not end")
})

/** By choice and position; the order of choices in the log is nobody's promise. */
const essence = (events: ReadonlyArray<TokenEvent>) =>
  events
    .map(({ number: _, ...event }) => event)
    .toSorted((a, b) => a.choice - b.choice || a.position - b.position)

const run = Effect.fnUntraced(function* (requests: ReadonlyArray<RequestAccepted>) {
  const world = yield* makeWorld
  yield* Layer.build(layerWorker(world))
  for (const request of requests) yield* world.send(request)
  const ids = requests.map(({ requestId }) => requestId)
  return (yield* endsOf(world, ids)).map(({ events }) => events)
})

/** What a worker had logged that died after so many tokens. */
const halfDone = (
  requestId: string,
  said: ReadonlyArray<TokenEvent>,
): ReadonlyArray<TokenEntry> => [
  { kind: "AttemptClaimed", requestId, attempt: 1, worker: "dead" },
  ...said.map(({ choice, position, id, text, logprob, finish, stopReason }): TokenEntry => ({
    kind: "TokensGenerated",
    requestId,
    attempt: 1,
    choice,
    position,
    ids: [id],
    texts: [text],
    logprobs: logprob === null ? null : [logprob],
    finish,
    stopReason,
  })),
]

const tokens = 36

const prompt = Effect.gen(function* () {
  const { encode, model } = yield* makeTokenizer(talesFolder)
  const opening = yield* encode("Once upon a time, there was a little", true)
  const idOf = (byte: number) => {
    for (let id = 0; id < model.vocabSize; id++) {
      const bytes = model.tokenBytes(id)
      if (bytes.length === 1 && bytes[0] === byte) return id
    }
    throw new Error(`no token is the byte ${byte}`)
  }
  /** Two bytes of one character, and three that begin characters of three and four. */
  const bytes = [0xc3, 0xa9, 0xe2, 0x82, 0xf0].map(idOf)
  return { opening, bytes }
}).pipe(Effect.scoped)

interface Case {
  readonly name: string
  readonly n: number
  readonly sampling: Partial<Sampling>
}

const cases = Effect.gen(function* () {
  const { opening, bytes } = yield* prompt
  const seeded = { temperature: 0.9, seed: 42 }
  const plain: ReadonlyArray<Case> = [
    { name: "greedy", n: 1, sampling: {} },
    { name: "seeded, three choices", n: 3, sampling: seeded },
    { name: "logprobs", n: 2, sampling: { ...seeded, logprobs: 3 } },
    {
      name: "penalties",
      n: 2,
      sampling: {
        ...seeded,
        presencePenalty: 0.8,
        frequencyPenalty: 0.6,
        repetitionPenalty: 1.3,
        minTokens: 20,
      },
    },
    {
      name: "characters in pieces",
      n: 2,
      // Without penalties the model would say the one byte that it likes best for ever.
      sampling: {
        ...seeded,
        temperature: 2,
        frequencyPenalty: 2,
        logitBias: bytes.map((token) => ({ token, bias: 90 })),
      },
    },
    { name: "ends by itself", n: 2, sampling: { ...seeded, ignoreEos: false, maxTokens: 200 } },
  ]
  const request = ({ n, sampling }: Case): RequestAccepted =>
    accepted({ maxTokens: tokens, ...sampling }, { n, prompts: [opening] })
  return { plain, request }
})

/** Here and there, and where text is held back. */
const cutsOf = (events: ReadonlyArray<TokenEvent>): ReadonlyArray<number> => {
  const all = events.map((_, i) => i).filter((i) => i > 0)
  const held = all.filter((i) => events[i - 1]?.text === "" || events[i]?.text === "")
  const some = all.filter((i) => i % Math.ceil(all.length / 10) === 1)
  return [...new Set([...some, ...held.slice(0, 16)])]
}

const adoptAll = Effect.fnUntraced(function* (
  request: RequestAccepted,
  undisturbed: ReadonlyArray<TokenEvent>,
) {
  const world = yield* makeWorld
  const cuts = cutsOf(undisturbed)
  const ids: Array<string> = []
  for (const cut of cuts) {
    const requestId = newRequestId(Date.now())
    ids.push(requestId)
    const partition = world.tokens.partitionOf(requestId)
    yield* world.tokens.append(partition, "dead", halfDone(requestId, undisturbed.slice(0, cut)))
    yield* world.send({ ...request, requestId })
  }
  yield* Layer.build(layerWorker(world))
  for (const [i, { state, events }] of (yield* endsOf(world, ids)).entries()) {
    assert.deepStrictEqual(essence(events), essence(undisturbed), `cut after ${cuts[i]} tokens`)
    assert.strictEqual(state.attempt, 2)
  }
  return cuts.length
})

const textOf = (events: ReadonlyArray<TokenEvent>, choice = 0) =>
  events.map((event) => (event.choice === choice ? event.text : "")).join("")

describe("an adopted request of the bundled model", () => {
  it.live(
    "goes on as if nothing had happened, wherever it was cut",
    () =>
      Effect.gen(function* () {
        const { plain, request } = yield* cases
        const requests = plain.map(request)
        const undisturbed = yield* Effect.scoped(run(requests))
        const pieces = undisturbed[4] ?? []
        assert.isAbove(pieces.filter(({ text }) => text === "").length, 5, "nothing was held back")
        assert.match(textOf(pieces), /[é₩]/, "no character became whole")
        const ended = undisturbed[5] ?? []
        assert.isTrue(ended.some(({ finish }) => finish === "stop"))
        let cuts = 0
        for (const [i, one] of requests.entries()) {
          cuts += yield* Effect.scoped(adoptAll(one, undisturbed[i] ?? []))
        }
        assert.isAbove(cuts, 60)
      }),
    180_000,
  )

  it.live(
    "ends at a stop string that lies over the cut, and shows none of it",
    () =>
      Effect.gen(function* () {
        const { plain, request } = yield* cases
        const [greedy] = yield* Effect.scoped(run([request(plain[0]!)]))
        const text = textOf(greedy ?? [])
        const stop = [text.slice(40, 58)]
        for (const includeStop of [false, true]) {
          const stopped = request({ name: "", n: 1, sampling: { stop, includeStop } })
          const [undisturbed = []] = yield* Effect.scoped(run([stopped]))
          assert.strictEqual(textOf(undisturbed), text.slice(0, includeStop ? 58 : 40))
          assert.strictEqual(undisturbed.at(-1)?.stopReason, stop[0])
          assert.isAbove(yield* Effect.scoped(adoptAll(stopped, undisturbed)), 4)
        }
      }),
    120_000,
  )
})
