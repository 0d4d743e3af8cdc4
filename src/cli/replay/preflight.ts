// What a target says of itself before it is loaded: its model and context, and how many tokens it
// makes of the words that prompts are made of. A target that cannot be reached is found here, and
// one that says nothing of itself is loaded all the same, with a note.
import { Predicate } from "effect"
import type { ReplayOptions } from "../../replay/ReplayOptions.ts"
import { promptWords } from "../../replay/plan/synthesise.ts"
import { writeBody } from "../../replay/plan/body.ts"

export interface TargetFacts {
  readonly model: string
  readonly contextTokensMax: number | null
  readonly tokensPerWord: number
  readonly notes: ReadonlyArray<string>
}

const askMs = 15_000
const calibrationWords = [64, 192] as const

export interface Place {
  readonly base: string
  readonly headers: Readonly<Record<string, string>>
}

/** Where its API stands, and with which headers it is asked. */
export const placeOf = ({ target, headers }: ReplayOptions): Place => {
  const key = process.env["OPENAI_API_KEY"]
  const own = key === undefined || key === "" ? {} : { authorization: `Bearer ${key}` }
  return { base: target.replace(/\/+$/, "").replace(/\/v1$/, ""), headers: { ...own, ...headers } }
}

const askJson = async (url: string, init: RequestInit): Promise<unknown> => {
  const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(askMs) })
  return answer.ok ? answer.json() : null
}

const firstModel = (value: unknown): { readonly id: string; readonly context: number | null } => {
  const data = Predicate.hasProperty(value, "data") && Array.isArray(value.data) ? value.data : []
  const first: unknown = data[0]
  const id = Predicate.hasProperty(first, "id") ? String(first.id) : ""
  const has = Predicate.hasProperty(first, "max_model_len")
  const context = has ? Number(first.max_model_len) : NaN
  return { id, context: context > 0 ? context : null }
}

const promptTokensOf = (value: unknown): number =>
  Predicate.hasProperty(value, "usage") && Predicate.hasProperty(value.usage, "prompt_tokens")
    ? Number(value.usage.prompt_tokens)
    : NaN

/** The difference of two prompts: what stands around a prompt is in both. */
const calibrate = async (place: Place, options: ReplayOptions, model: string): Promise<number> => {
  const counts = []
  for (const promptTokens of calibrationWords) {
    const material = { ids: null, tokensPerWord: 1, seed: options.seed }
    const text = promptWords(material, { promptTokens, blocks: null, scale: 1, index: 0 })
    const { endpoint, plain } = options
    const { path, body } = writeBody(
      { prompt: { kind: "text", text }, outputTokens: 1, params: null },
      { endpoint, plain, model, stream: false, tokenIds: false, temperature: 0 },
    )
    const headers = { "content-type": "application/json", ...place.headers }
    counts.push(promptTokensOf(await askJson(place.base + path, { method: "POST", headers, body })))
  }
  const [few = NaN, many = NaN] = counts
  return (many - few) / (calibrationWords[1] - calibrationWords[0])
}

/** Rejects where nobody answers at all. */
export const askTarget = async (options: ReplayOptions, words: boolean): Promise<TargetFacts> => {
  const place = placeOf(options)
  const notes: Array<string> = []
  const listed = firstModel(await askJson(`${place.base}/v1/models`, { headers: place.headers }))
  const model = options.model ?? listed.id
  if (model === "") notes.push("the target names no model, and none was given (--target-model)")
  let tokensPerWord = 1
  if (words) {
    const measured = await calibrate(place, options, model).catch(() => NaN)
    if (measured >= 0.1 && measured <= 100) tokensPerWord = measured
    else notes.push("the target does not count prompt tokens: a word is taken for one")
  }
  return {
    model,
    contextTokensMax: options.contextTokensMax ?? listed.context,
    tokensPerWord,
    notes,
  }
}
