// A request by hand. What has come is kept with its cursor, so that a page that is loaded again in
// the middle goes on where it was; so does one whose worker was killed.
import { useEffect, useRef, useState } from "preact/hooks"
import { type Generation, SluiceClient } from "../../client/client.ts"
import { type Hello, keyHeaders } from "./feed.ts"
import { ms, rate } from "./format.ts"
import { languages, snippet } from "./snippets.ts"

interface Kept {
  readonly requestId: string
  readonly cursor: number
  readonly pieces: ReadonlyArray<string>
}

const keptName = "sluice.playground"

const keptText = (): Kept | null => {
  const text = sessionStorage.getItem(keptName)
  return text === null ? null : JSON.parse(text)
}

interface Ask {
  readonly chat: boolean
  readonly prompt: string
  readonly maxTokens: number
  readonly temperature: number
}

const bodyOf = (model: string, { chat, prompt, maxTokens, temperature }: Ask) => ({
  model,
  ...(chat ? { messages: [{ role: "user", content: prompt }] } : { prompt }),
  max_tokens: maxTokens,
  temperature,
})

interface Speed {
  readonly firstMs: number | null
  readonly tokensPerSecond: number
}

const noSpeed: Speed = { firstMs: null, tokensPerSecond: 0 }

/** Reads a generation to its end, and says after each piece what there is. */
const useGeneration = (client: SluiceClient) => {
  const [pieces, setPieces] = useState<ReadonlyArray<string>>([])
  const [running, setRunning] = useState<Generation | null>(null)
  const [fault, setFault] = useState("")
  const [speed, setSpeed] = useState(noSpeed)
  const read = async (generation: Generation, before: ReadonlyArray<string>) => {
    const began = performance.now()
    const all = [...before]
    let firstMs: number | null = null
    setRunning(generation)
    setFault("")
    setPieces(all)
    setSpeed(noSpeed)
    try {
      for await (const { text, cursor } of generation) {
        firstMs ??= performance.now() - began
        all.push(text)
        const { requestId } = generation
        if (requestId !== null) {
          const kept: Kept = { requestId, cursor, pieces: all }
          sessionStorage.setItem(keptName, JSON.stringify(kept))
        }
        setPieces([...all])
        const seconds = (performance.now() - began - firstMs) / 1000
        const came = all.length - before.length - 1
        setSpeed({ firstMs, tokensPerSecond: seconds > 0 ? came / seconds : 0 })
      }
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error))
    }
    setRunning(null)
  }
  useEffect(() => {
    const kept = keptText()
    if (kept !== null) void read(client.resume(kept.requestId, kept.cursor), kept.pieces)
  }, [client])
  return { pieces, running, fault, speed, read }
}

const Output = ({ pieces }: { pieces: ReadonlyArray<string> }) => (
  <div class="output" aria-live="off" tabIndex={0} role="region" aria-label="Answer">
    {pieces.map((piece, i) => (
      <span key={i} class="token" title={`event ${i + 1}`}>
        {piece}
      </span>
    ))}
  </div>
)

export const Playground = ({ hello, apiKey }: { hello: Hello; apiKey: string }) => {
  const client = useRef(
    new SluiceClient({ url: location.origin, ...(apiKey === "" ? {} : { key: apiKey }) }),
  ).current
  const { pieces, running, fault, speed, read } = useGeneration(client)
  const [killed, setKilled] = useState(false)
  const [language, setLanguage] = useState<(typeof languages)[number]>("curl")
  const [ask, setAsk] = useState<Ask>({
    chat: false,
    prompt: "Once upon a time",
    maxTokens: 200,
    temperature: 0.8,
  })
  const body = bodyOf(hello.model, ask)
  const start = () => {
    setKilled(false)
    void read(ask.chat ? client.chat(body) : client.complete(body), [])
  }
  const kill = async () => {
    const headers = keyHeaders(apiKey)
    const answer = await fetch("/console/kill-worker", { method: "POST", headers })
    setKilled(answer.ok)
  }
  const code = snippet(language, { chat: ask.chat, body, origin: location.origin })
  return (
    <div class="playground">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          start()
        }}
      >
        <label>
          Prompt
          <textarea
            rows={4}
            value={ask.prompt}
            onInput={(event) => setAsk({ ...ask, prompt: event.currentTarget.value })}
          />
        </label>
        <div class="row">
          <label>
            Tokens
            <input
              type="number"
              min="1"
              value={ask.maxTokens}
              onInput={(event) => setAsk({ ...ask, maxTokens: Number(event.currentTarget.value) })}
            />
          </label>
          <label>
            Temperature
            <input
              type="number"
              min="0"
              max="2"
              step="0.1"
              value={ask.temperature}
              onInput={(event) =>
                setAsk({ ...ask, temperature: Number(event.currentTarget.value) })
              }
            />
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={ask.chat}
              onChange={(event) => setAsk({ ...ask, chat: event.currentTarget.checked })}
            />
            Chat
          </label>
        </div>
        <div class="row">
          <button class="primary" disabled={running !== null}>
            Generate
          </button>
          <button type="button" disabled={running === null} onClick={() => void running?.cancel()}>
            Cancel
          </button>
          {hello.canKill ? (
            <button type="button" disabled={running === null} onClick={() => void kill()}>
              Kill the worker
            </button>
          ) : null}
        </div>
      </form>
      <Output pieces={pieces} />
      <p class="facts" role="status">
        {fault !== ""
          ? fault
          : `first token ${ms(speed.firstMs)} · ${rate(speed.tokensPerSecond)} events/s`}
        {killed ? " · the worker was killed; another one takes the request up" : ""}
      </p>
      <div class="row">
        {languages.map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={name === language}
            onClick={() => setLanguage(name)}
          >
            {name}
          </button>
        ))}
        <button type="button" onClick={() => void navigator.clipboard.writeText(code)}>
          Copy
        </button>
      </div>
      <pre tabIndex={0}>{code}</pre>
    </div>
  )
}
