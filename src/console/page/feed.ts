// What the server tells the console, followed for as long as the page is open: by fetch and not by
// EventSource, which sends no key. After a break it begins anew, with growing pauses.
import type { Update } from "../live.ts"
import type { Timeline } from "../timelines.ts"

export interface Hello {
  readonly model: string
  readonly canKill: boolean
}

export interface Live {
  readonly hello: Hello | null
  readonly update: Update | null
  /** The newest first. */
  readonly requests: ReadonlyArray<Timeline>
  /** Tokens a second, the newest last. */
  readonly history: ReadonlyArray<number>
  readonly state: "connecting" | "live" | "away" | "needsKey"
}

const requestsMax = 10_000
const historyMax = 240
const pauseMsMax = 5_000

export const nothing: Live = {
  hello: null,
  update: null,
  requests: [],
  history: [],
  state: "connecting",
}

const merged = (known: ReadonlyArray<Timeline>, news: ReadonlyArray<Timeline>) => {
  if (news.length === 0) return known
  const byId = new Map(news.map((one) => [one.id, one]))
  const kept = known.map((one) => {
    const newer = byId.get(one.id)
    if (newer !== undefined) byId.delete(one.id)
    return newer ?? one
  })
  return [...[...byId.values()].toReversed(), ...kept].slice(0, requestsMax)
}

const taken = (live: Live, event: string, data: string): Live => {
  if (event === "hello") return { ...live, hello: JSON.parse(data), state: "live" }
  const update: Update = JSON.parse(data)
  return {
    ...live,
    update,
    requests: merged(live.requests, update.requests),
    history: [...live.history.slice(1 - historyMax), update.tokensPerSecond],
  }
}

export const keyHeaders = (key: string): Record<string, string> =>
  key === "" ? {} : { authorization: `Bearer ${key}` }

const read = async (answer: Response, onEvent: (event: string, data: string) => void) => {
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ""
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const blocks = (text + value).split("\n\n")
    text = blocks.pop() ?? ""
    for (const block of blocks) {
      const [, event = "", data = ""] = /^event: (\w+)\ndata: (.*)$/m.exec(block) ?? []
      if (data !== "") onEvent(event, data)
    }
  }
}

/** Tells of every change until the signal; a page that is not looked at is told nothing. */
export const follow = async (
  key: string,
  signal: AbortSignal,
  onChange: (live: Live) => void,
): Promise<void> => {
  let live = nothing
  const change = (next: Live) => {
    live = next
    if (!document.hidden) onChange(live)
  }
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const answer = await fetch("/console/live", { headers: keyHeaders(key), signal })
      if (answer.status === 401) return change({ ...live, state: "needsKey" })
      if (answer.ok) {
        failures = 0
        live = { ...live, requests: [] }
        await read(answer, (event, data) => change(taken(live, event, data)))
      }
    } catch {
      if (signal.aborted) return
    }
    change({ ...live, state: "away" })
    await new Promise((done) => setTimeout(done, Math.min(pauseMsMax, 250 * 2 ** failures)))
  }
}
