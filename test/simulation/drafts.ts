// What the clients of one seed ask for, and how each of them behaves. Two clients may ask for the
// same under one idempotency key.
import type { RequestDraft } from "../../src/enqueue/Enqueue.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { plainAnswer, plainSampling } from "../support/requestParts.ts"
import type { Settings } from "./settings.ts"
import type { ClientPlan } from "./SimulatedClient.ts"
import type { Draw } from "./Simulation.ts"
import { poisonId } from "./worker.ts"

/** A request id of that instant whose random part comes from the seed. */
export const drawRequestId = (draw: Draw, nowMs: number): string =>
  newRequestId(
    nowMs,
    Uint8Array.from({ length: 10 }, () => draw.below(256)),
  )

const drawPrompt = (
  draw: Draw,
  { firstId, vocabSize }: Settings["engine"],
  isPoison: boolean,
): ReadonlyArray<number> => {
  const id = () => firstId + draw.below(vocabSize - firstId)
  return [isPoison ? poisonId : id(), ...Array.from({ length: draw.below(6) }, id)]
}

const drawDraft = (draw: Draw, settings: Settings, requestId: string): RequestDraft => {
  const isPoison = draw.chance(settings.poison)
  const isScored = draw.chance(0.15)
  return {
    requestId,
    model: "scripted",
    tier: draw.pick(["priority", "default", "flex"]),
    tenant: "",
    dialect: draw.pick(["completions", "chat", "stream"]),
    promptCacheKey: draw.chance(0.2) ? "shared" : null,
    grammar: null,
    tools: null,
    textFormat: null,
    prompts: Array.from({ length: draw.chance(0.2) ? 2 : 1 }, () =>
      drawPrompt(draw, settings.engine, isPoison),
    ),
    n: draw.chance(0.25) ? 2 + draw.below(2) : 1,
    sampling: {
      ...plainSampling,
      maxTokens: 1 + draw.below(draw.chance(settings.long) ? 60 : 16),
      minTokens: draw.chance(0.1) ? draw.below(4) : 0,
      temperature: draw.below(2),
      seed: draw.below(1000),
      stop: draw.chance(0.4) ? [draw.pick(["ab", "ca", "dd", "bcd"])] : [],
      ignoreEos: true,
      logprobs: isScored ? draw.below(3) : -1,
      promptLogprobs: isScored && draw.chance(0.5) ? 1 : -1,
      includeStop: draw.chance(0.3),
    },
    answer: {
      ...plainAnswer,
      includeUsage: draw.chance(0.5),
      returnTokenIds: draw.chance(0.5),
      cancelOnDisconnect: draw.chance(0.08),
    },
    traceparent: null,
    timeoutMs: draw.chance(settings.shortDeadline) ? 20 + draw.below(600) : 60_000,
    idempotency: null,
  }
}

export interface PlannedClient extends ClientPlan {
  readonly startsAfterMs: number
}

export const drawClients = (
  draw: Draw,
  settings: Settings,
  now: () => number,
): ReadonlyArray<PlannedClient> => {
  const plans: Array<PlannedClient> = []
  const newId = () => drawRequestId(draw, now())
  const plan = (draft: RequestDraft): PlannedClient => ({
    draft,
    newRequestId: newId,
    cuts: draw.chance(settings.cutting) ? 1 + draw.below(4) : 0,
    isSlow: draw.chance(settings.slow),
    cancelsAfter: draw.chance(settings.cancelling) ? draw.below(8) : null,
    leavesAfter: draw.chance(settings.leaving) ? draw.below(8) : null,
    startsAfterMs: draw.between(0, settings.roughMs),
  })
  for (let i = 0; i < settings.requests; i++) {
    const startsAt = now() + draw.between(0, settings.roughMs)
    const draft = drawDraft(draw, settings, drawRequestId(draw, Math.floor(startsAt)))
    if (!draw.chance(settings.keyed)) {
      plans.push({ ...plan(draft), startsAfterMs: startsAt - now() })
      continue
    }
    const keyed = { ...draft, idempotency: { key: `key-${i}`, body: `body-${i}` } }
    for (let twins = 2; twins > 0; twins--) {
      const own = { ...keyed, requestId: drawRequestId(draw, Math.floor(startsAt)) }
      const startsAfterMs = startsAt - now() + draw.between(0, twins === 2 ? 0 : 60)
      plans.push({ ...plan(own), startsAfterMs })
    }
  }
  return plans
}
