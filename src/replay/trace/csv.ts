// Rows of a CSV file by the names in its head, whatever the order of its columns. Quotes as in RFC
// 4180, but no line feeds inside of them: the traces that are published have none.
import { Fields } from "./Fields.ts"
import { type Line, type LineReader } from "./lines.ts"
import { TraceError } from "./Trace.ts"

const cell = /\s*(?:"((?:[^"]|"")*)"|([^",]*))\s*(?:,|$)/y

/** null: a quote is not closed, or something follows one. */
export const splitRow = (text: string): ReadonlyArray<string> | null => {
  const cells: Array<string> = []
  cell.lastIndex = 0
  while (cell.lastIndex <= text.length) {
    const from = cell.lastIndex
    const found = cell.exec(text)
    if (found === null) return null
    const [whole, quoted, plain = ""] = found
    cells.push(quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'))
    if (from + whole.length >= text.length && !whole.endsWith(",")) return cells
  }
  return null
}

const rowError = ({ file, line }: Line, detail: string) =>
  new TraceError({ reason: "wrongValue", file, line, detail })

/** Rows as fields; the head must have every name that is wanted. */
export const readRows = (lines: LineReader, wanted: ReadonlyArray<string>) => {
  let head: ReadonlyArray<string> | null = null
  const next = (): Fields | TraceError | null => {
    const line = lines.next()
    if (line === null || line instanceof TraceError) return line
    const cells = splitRow(line.text)
    if (cells === null) return rowError(line, "a quote is not closed")
    if (head === null) {
      head = cells
      const missing = wanted.filter((name) => !cells.includes(name))
      if (missing.length > 0) {
        return rowError(line, `the head has no column ${missing.map((m) => `"${m}"`).join(", ")}`)
      }
      return next()
    }
    if (cells.length !== head.length) {
      const detail = `the head has ${head.length} columns, this row ${cells.length}`
      return rowError(line, detail)
    }
    const values = Object.fromEntries(head.map((name, i) => [name, cells[i]]))
    return new Fields(line, values)
  }
  return next
}
