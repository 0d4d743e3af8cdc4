// Recent requests, each with what became of it on a line of time: waited, prefilled, generated;
// taken up again by another worker where it was.
import { useState } from "preact/hooks"
import type { Timeline } from "../timelines.ts"
import { clock, count, ms } from "./format.ts"

/** Rows in the document at once; the rest is behind "more". */
const step = 50

export const Waterfall = ({ request, now }: { request: Timeline; now: number }) => {
  const end = request.endedAt ?? Math.max(now, request.acceptedAt + 1)
  const whole = Math.max(1, end - request.acceptedAt)
  const at = (time: number) => Math.min(100, (100 * (time - request.acceptedAt)) / whole)
  const claimed = at(request.claims[0]?.at ?? end)
  const first = at(request.firstTokenAt ?? end)
  const adopted = request.claims.slice(1)
  const said = `waited to ${claimed.toFixed(0)} %, first token at ${first.toFixed(0)} %`
  return (
    <svg class="waterfall" viewBox="0 0 100 10" preserveAspectRatio="none" role="img">
      <title>{said}</title>
      <rect class="queued" x="0" y="2" width={claimed} height="6" />
      <rect class="prefill" x={claimed} y="2" width={Math.max(0, first - claimed)} height="6" />
      <rect class="decode" x={first} y="2" width={Math.max(0, 100 - first)} height="6" />
      {adopted.map((claim) => (
        <rect key={claim.at} class="adopted" x={at(claim.at)} y="0" width="0.8" height="10" />
      ))}
    </svg>
  )
}

const Row = ({ request, now }: { request: Timeline; now: number }) => (
  <tr>
    <td class="id">{request.id.slice(-8)}</td>
    <td>{clock(request.acceptedAt)}</td>
    <td>
      <span class={`state ${request.phase}`}>{request.phase}</span>
      {request.attempts > 1 ? <span class="adoption"> adopted ×{request.attempts - 1}</span> : null}
    </td>
    <td class="number">{request.promptTokens ?? "–"}</td>
    <td class="number">{count(request.tokens)}</td>
    <td class="number">
      {ms(request.firstTokenAt === null ? null : request.firstTokenAt - request.acceptedAt)}
    </td>
    <td class="number">
      {ms(request.endedAt === null ? null : request.endedAt - request.acceptedAt)}
    </td>
    <td class="wide">
      <Waterfall request={request} now={now} />
    </td>
  </tr>
)

export const Requests = (props: { requests: ReadonlyArray<Timeline>; now: number }) => {
  const [shown, setShown] = useState(step)
  const { requests, now } = props
  if (requests.length === 0) {
    return <p class="empty">No request yet. Ask for something in the playground.</p>
  }
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label="Requests">
        <table>
          <thead>
            <tr>
              <th>request</th>
              <th>accepted</th>
              <th>state</th>
              <th>prompt</th>
              <th>tokens</th>
              <th>first token</th>
              <th>whole</th>
              <th class="wide">time line</th>
            </tr>
          </thead>
          <tbody>
            {requests.slice(0, shown).map((request) => (
              <Row key={request.id} request={request} now={now} />
            ))}
          </tbody>
        </table>
      </div>
      {requests.length > shown ? (
        <button onClick={() => setShown(shown + step)}>
          {`${step} more of ${count(requests.length)}`}
        </button>
      ) : null}
    </>
  )
}
