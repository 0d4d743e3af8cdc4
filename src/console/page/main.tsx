// The console: one page, three views of the same server, told apart by the address after "#".
import { render } from "preact"
import { useEffect, useState } from "preact/hooks"
import { DeadLetters } from "./DeadLetters.tsx"
import { follow, nothing } from "./feed.ts"
import { LivePane } from "./Live.tsx"
import { Playground } from "./Playground.tsx"
import { Requests } from "./Requests.tsx"

const views = ["live", "playground", "requests", "dead-letters"] as const

type View = (typeof views)[number]

const keyName = "sluice.key"

const viewOf = (hash: string): View => views.find((view) => hash === `#${view}`) ?? "live"

const KeyForm = ({ onKey }: { onKey: (key: string) => void }) => (
  <form
    class="key"
    onSubmit={(event) => {
      event.preventDefault()
      onKey(String(new FormData(event.currentTarget).get("key") ?? ""))
    }}
  >
    <label>
      This server asks for an API key
      <input name="key" type="password" autocomplete="off" required />
    </label>
    <button class="primary">Continue</button>
  </form>
)

const states = { connecting: "connecting", live: "live", away: "away: trying again", needsKey: "" }

const App = () => {
  const [apiKey, setKey] = useState(sessionStorage.getItem(keyName) ?? "")
  const [live, setLive] = useState(nothing)
  const [view, setView] = useState(viewOf(location.hash))
  useEffect(() => {
    const leaving = new AbortController()
    void follow(apiKey, leaving.signal, setLive)
    return () => leaving.abort()
  }, [apiKey])
  useEffect(() => {
    const onHash = () => setView(viewOf(location.hash))
    addEventListener("hashchange", onHash)
    return () => removeEventListener("hashchange", onHash)
  }, [])
  const onKey = (key: string) => {
    sessionStorage.setItem(keyName, key)
    setKey(key)
  }
  const { hello, update, requests } = live
  return (
    <>
      <header>
        <h1>Sluice</h1>
        <nav aria-label="Views">
          {views.map((name) => (
            <a key={name} href={`#${name}`} {...(name === view ? { "aria-current": "page" } : {})}>
              {name.replace("-", " ")}
            </a>
          ))}
        </nav>
        <span class="model">{hello?.model ?? ""}</span>
        <span class={`connection ${live.state}`} role="status">
          {states[live.state]}
        </span>
      </header>
      <main>
        {live.state === "needsKey" ? (
          <KeyForm onKey={onKey} />
        ) : view === "playground" && hello !== null ? (
          <Playground hello={hello} apiKey={apiKey} />
        ) : view === "requests" ? (
          <Requests requests={requests} now={update?.at ?? 0} />
        ) : view === "dead-letters" ? (
          <DeadLetters apiKey={apiKey} />
        ) : (
          <LivePane live={live} />
        )}
      </main>
    </>
  )
}

const root = document.getElementById("root")
if (root !== null) render(<App />, root)
