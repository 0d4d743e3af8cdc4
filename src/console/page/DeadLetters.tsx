// Requests that were given up after too many claims, and each of them again.
import { useEffect, useState } from "preact/hooks"
import { keyHeaders } from "./feed.ts"
import { clock } from "./format.ts"

interface Letter {
  readonly request_id: string
  readonly dead_at: number
  readonly attempts: number
  readonly code: string
  readonly message: string
  readonly replayable: boolean
}

export const DeadLetters = ({ apiKey }: { apiKey: string }) => {
  const [letters, setLetters] = useState<ReadonlyArray<Letter> | null>(null)
  const [said, setSaid] = useState("")
  const headers = keyHeaders(apiKey)
  useEffect(() => {
    void fetch("/console/dead-letters", { headers })
      .then((answer) => answer.json())
      .then((answer: { letters: ReadonlyArray<Letter> }) => setLetters(answer.letters))
      .catch(() => setSaid("The list could not be read."))
  }, [apiKey])
  const replay = async ({ request_id: id }: Letter) => {
    const answer = await fetch(`/console/dead-letters/${id}/replay`, { method: "POST", headers })
    setSaid(answer.ok ? `${id} goes again.` : `${id} could not be sent again.`)
  }
  if (letters === null) return <p class="empty">{said === "" ? "Reading …" : said}</p>
  if (letters.length === 0) return <p class="empty">No request was ever given up here.</p>
  return (
    <>
      <p role="status">{said}</p>
      <ul class="letters">
        {letters.map((letter) => (
          <li key={letter.request_id}>
            <span class="id">{letter.request_id}</span> {clock(letter.dead_at)}, after{" "}
            {letter.attempts} claims: {letter.message}
            <button disabled={!letter.replayable} onClick={() => void replay(letter)}>
              Send again
            </button>
          </li>
        ))}
      </ul>
    </>
  )
}
