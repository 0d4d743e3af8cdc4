// The encoding thread's whole program: long texts in, ids out, so that they do not hold the event
// loop. It reads the tokenizer's files itself, once; its parent has checked them before. A text
// that breaks the library is answered with null and harms no other.
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { parentPort, workerData } from "node:worker_threads"
import { type Encode, makeEncode, type Wrapping } from "./encode.ts"

export interface ThreadData {
  readonly folder: string
  readonly wrapping: Wrapping | null
}

export interface ThreadRequest {
  readonly text: string
  readonly addSpecialTokens: boolean
}

/** One a request, in the requests' order. */
export type ThreadAnswer = Uint32Array | null

const readObject = (folder: string, name: string): object => {
  const path = join(folder, name)
  const value: unknown = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : null
  return typeof value === "object" && value !== null ? value : {}
}

const load = ({ folder, wrapping }: ThreadData): Encode =>
  makeEncode({
    tokenizer: readObject(folder, "tokenizer.json"),
    config: readObject(folder, "tokenizer_config.json"),
    wrapping,
  })

const data: ThreadData = workerData
const encode = load(data)
const answer = (ids: ThreadAnswer) => parentPort?.postMessage(ids)

parentPort?.on("message", (request: ThreadRequest) => {
  Promise.resolve(request)
    .then(({ text, addSpecialTokens }) => encode(text, addSpecialTokens))
    .then(answer, () => answer(null))
})
