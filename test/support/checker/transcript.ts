// One client's connections to one request, against the frames it must have seen: each connection
// gives the suffix after its cursor, byte for byte, as far as it goes; together they are a prefix
// of the whole. Says whether something was lost, repeated, reordered, changed or invented.
import type { Frame } from "../../../src/api/answer/dialect/Projection.ts"
import type { Violation } from "./check.ts"
import type { Expected } from "./expected.ts"
import type { EventLine, HistoryLine } from "./history.ts"

interface Connection {
  readonly client: string
  readonly requestId: string
  readonly connection: number
  cursor: number
  readonly events: Array<EventLine>
  ended: boolean
}

const connectionsOf = (history: ReadonlyArray<HistoryLine>): ReadonlyArray<Connection> => {
  const all = new Map<string, Connection>()
  for (const line of history) {
    if (!("connection" in line)) continue
    const { client, requestId, connection } = line
    const key = `${client} ${requestId} ${connection}`
    let one = all.get(key)
    if (one === undefined) {
      one = { client, requestId, connection, cursor: 0, events: [], ended: false }
      all.set(key, one)
    }
    if (line.kind === "opened") one.cursor = line.cursor
    if (line.kind === "event") one.events.push(line)
    if (line.kind === "ended") one.ended = true
  }
  return [...all.values()]
}

const short = (data: string): string => (data.length > 160 ? `${data.slice(0, 160)}...` : data)

/** What an event is that is not the one due. */
const kindOfFault = (
  seen: EventLine,
  due: Frame | undefined,
  expected: Expected,
  before: ReadonlyArray<EventLine>,
): string => {
  const isSame = ({ cursor, data }: Frame) => cursor === seen.cursor && data === seen.data
  if (before.some(isSame)) return "repeated"
  const place = expected.frames.findIndex(isSame)
  if (place >= 0) return due === undefined ? "reordered" : "came after others were lost"
  const same = expected.frames.find(({ cursor }) => cursor === seen.cursor)
  if (same !== undefined) return `changed (the log says ${short(same.data)})`
  return "invented"
}

/** An entry that does not count and holds what the client was shown. */
const voidSource = (seen: EventLine, { canon }: Expected): string | null => {
  for (const { why, at, entry } of canon.voids) {
    if (why === "repeated" || entry.kind !== "TokensGenerated") continue
    const shown = entry.texts.some(
      (text) => text !== "" && seen.data.includes(JSON.stringify(text)),
    )
    if (shown) {
      const place = `${at.partition}/${at.offset}`
      return `a ${why} entry of ${at.writer}, attempt ${entry.attempt}, at ${place}`
    }
  }
  return null
}

const usageFault = (line: EventLine, expected: Expected): string | null => {
  if (!line.data.includes('"usage":{')) return null
  const shown = /"completion_tokens":(\d+)/.exec(line.data)?.[1]
  const positions = expected.canon.events.filter(({ kind }) => kind === "token").length
  if (shown === undefined || Number(shown) === positions) return null
  return `usage says ${shown} tokens, ${positions} positions were delivered`
}

const faultsOf = (one: Connection, expected: Expected): ReadonlyArray<Violation> => {
  const { requestId, client, connection } = one
  const where = `${client}, connection ${connection} from ${one.cursor}`
  const due = expected.frames.filter(({ cursor }) => cursor > one.cursor)
  const faults: Array<Violation> = []
  for (const [i, seen] of one.events.entries()) {
    const usage = usageFault(seen, expected)
    if (usage !== null) {
      faults.push({ invariant: "usage is positions", requestId, message: `${where}: ${usage}` })
    }
    const frame = due[i]
    if (frame?.cursor === seen.cursor && frame.data === seen.data) continue
    const source = voidSource(seen, expected)
    const what = kindOfFault(seen, frame, expected, one.events.slice(0, i))
    const from = source === null ? "" : `; it is ${source}`
    faults.push({
      invariant: source !== null ? "fenced" : one.cursor > 0 ? "same suffix" : "prefix",
      requestId,
      message: `${where}: event ${seen.cursor} ${what}: ${short(seen.data)}${from}`,
    })
    return faults
  }
  if (one.ended && one.events.length < due.length) {
    const missing = `${due.length - one.events.length} of ${due.length} frames are missing`
    faults.push({ invariant: "prefix", requestId, message: `${where}: it ended, and ${missing}` })
  }
  if (one.ended && expected.canon.terminal === null) {
    faults.push({
      invariant: "one end",
      requestId,
      message: `${where}: ended, and the log did not`,
    })
  }
  return faults
}

export const transcriptFaults = (
  history: ReadonlyArray<HistoryLine>,
  expected: ReadonlyMap<string, Expected>,
): ReadonlyArray<Violation> =>
  connectionsOf(history).flatMap((one) => {
    const known = expected.get(one.requestId)
    if (known !== undefined) return faultsOf(one, known)
    if (one.events.length === 0) return []
    const message = `${one.client} saw events of a request that no log has`
    return [{ invariant: "logged before seen", requestId: one.requestId, message }]
  })
