// The fields of one record of a trace: typed, bounded, and with the first thing that is wrong kept,
// so that a format's reader says what it wants and asks once at the end whether it got it.
import { Predicate, Result } from "effect"
import { type Place, TraceError } from "./Trace.ts"

const shownMax = 60

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing"
  return text.length > shownMax ? `${text.slice(0, shownMax)}...` : text
}

/** Lengths and counts: more tokens than any model reads. */
const wholeMax = 2 ** 31 - 1

export const parseJson = (place: Place, text: string): unknown => {
  const parsed = Result.try({
    try: (): unknown => JSON.parse(text),
    catch: () =>
      new TraceError({
        reason: "notJson",
        file: place.file,
        line: place.line,
        detail: `this is no JSON (${text.length} characters; a line that was cut off?)`,
      }),
  })
  return Result.isFailure(parsed) ? parsed.failure : parsed.success
}

export class Fields {
  readonly place: Place
  readonly values: Readonly<Record<string, unknown>>
  error: TraceError | null = null

  constructor(place: Place, values: unknown) {
    this.place = place
    this.values = Predicate.isObject(values) ? { ...values } : {}
    if (values instanceof TraceError) this.error = values
    else if (!Predicate.isObject(values) || Array.isArray(values)) {
      this.fail("wrongValue", `a record must be a JSON object; found ${shown(values)}`)
    }
  }

  has(name: string): boolean {
    return this.values[name] !== undefined && this.values[name] !== null
  }

  /** A count; a text of digits is one too, as a CSV has it. */
  whole(name: string, least = 0): number {
    const value = this.values[name]
    const number = Predicate.isString(value) && /^\d{1,10}$/.test(value) ? Number(value) : value
    if (Predicate.isNumber(number) && Number.isInteger(number)) {
      if (number >= least && number <= wholeMax) return number
    }
    return this.wrong(name, `a whole number from ${least} to ${wholeMax}`, 0)
  }

  wholeOrNull(name: string): number | null {
    return this.has(name) ? this.whole(name) : null
  }

  /** A time in the format's own unit, not negative. */
  time(name: string): number {
    const value = this.values[name]
    const number = Predicate.isString(value) && /^\d+([.]\d+)?$/.test(value) ? +value : value
    if (Predicate.isNumber(number) && number >= 0 && Number.isFinite(number)) return number
    return this.wrong(name, "a number that is not negative", 0)
  }

  timeOrNull(name: string): number | null {
    return this.has(name) ? this.time(name) : null
  }

  text(name: string): string {
    const value = this.values[name]
    return Predicate.isString(value) ? value : this.wrong(name, "a text", "")
  }

  textOrNull(name: string): string | null {
    return this.has(name) ? this.text(name) : null
  }

  list(name: string): ReadonlyArray<unknown> {
    const value = this.values[name]
    return Array.isArray(value) ? value : this.wrong(name, "an array", [])
  }

  ids(name: string, value: unknown = this.values[name]): ReadonlyArray<number> {
    const isId = (id: unknown) => Number.isInteger(id) && Number(id) >= 0 && Number(id) <= wholeMax
    if (Array.isArray(value) && value.every(isId)) return value
    return this.wrong(name, "an array of token ids", [])
  }

  wrong<A>(name: string, expected: string, instead: A): A {
    const value = this.values[name]
    if (value === undefined) this.fail("missing", `${name} is missing; it must be ${expected}`)
    else this.fail("wrongValue", `${name} must be ${expected}; found ${shown(value)}`)
    return instead
  }

  fail(reason: "missing" | "wrongValue", detail: string): void {
    const { file, line } = this.place
    this.error ??= new TraceError({ reason, file, line, detail })
  }
}
