// What one setting is: its key, how a text becomes its value, the range it must hold to, and the
// one sentence that help and errors show. Names for variables and flags follow from the key.
import { Option, Predicate, Schema } from "effect"

export interface Setting<A> {
  /** As in sluice.yaml, with dots between levels: "limits.bodyBytes". */
  readonly key: string
  readonly fallback: A
  /** What a value must be, as an error and help say it. */
  readonly expects: string
  readonly about: string
  /** Never shown, and no flag: command lines are readable by every user of the machine. */
  readonly secret: boolean
  /** Relative values are resolved against the folder of whoever gave them. */
  readonly path: boolean
  readonly decode: (raw: unknown) => Option.Option<A>
  /** The value as a person writes it. */
  readonly show: (value: unknown) => string
}

/** What becomes of each setting: read, listed, or its default taken. */
export type Get = <A>(setting: Setting<A>) => A

export const variableOf = (key: string): string =>
  `SLUICE_${key
    .replace(/[.]/g, "_")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toUpperCase()}`

export const flagOf = (key: string): string =>
  key
    .replace(/[.]/g, "-")
    .replace(/([a-z])([A-Z])/g, "$1-$2")
    .toLowerCase()

interface Description<A> {
  readonly schema: Schema.ConstraintDecoder<A>
  readonly fallback: A
  readonly expects: string
  readonly about: string
  /** Variables and flags are texts; a file's values may be. Undefined: this text says nothing. */
  readonly fromText?: (text: string) => unknown
  readonly show?: (value: unknown) => string
}

export const setting = <A>(key: string, options: Description<A>): Setting<A> => {
  const decode = Schema.decodeUnknownOption(options.schema)
  const { fromText, fallback, expects, about, show = String } = options
  return {
    key,
    fallback,
    expects,
    about,
    secret: false,
    path: false,
    show,
    decode: (raw) => decode(fromText && Predicate.isString(raw) ? fromText(raw.trim()) : raw),
  }
}

export const text = (key: string, fallback: string, about: string): Setting<string> =>
  setting(key, { schema: Schema.NonEmptyString, fallback, expects: "a text", about })

export const path = (key: string, fallback: string, about: string): Setting<string> => ({
  ...setting(key, { schema: Schema.NonEmptyString, fallback, expects: "a folder", about }),
  path: true,
})

/** "": none. */
export const file = (key: string, about: string): Setting<string> => ({
  ...setting(key, { schema: Schema.String, fallback: "", expects: "a file", about }),
  path: true,
})

export const choice = <const L extends ReadonlyArray<string>>(
  key: string,
  among: L,
  fallback: L[number],
  about: string,
): Setting<L[number]> =>
  setting<L[number]>(key, {
    schema: Schema.Literals(among),
    fallback,
    expects: `one of ${among.join(", ")}`,
    about,
  })

export const truth = (key: string, fallback: boolean, about: string): Setting<boolean> =>
  setting(key, {
    schema: Schema.Boolean,
    fallback,
    expects: "true or false",
    about,
    fromText: (given) => ({ true: true, "1": true, false: false, "0": false })[given],
  })

type Range = readonly [min: number, max: number]

const whole = ([minimum, maximum]: Range) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum }))

type Units = ReadonlyArray<readonly [name: string, scale: number]>

const scaled =
  (units: Units) =>
  (given: string): number | undefined => {
    const found = number.exec(given)
    if (found === null) return undefined
    const [, amount, name = ""] = found
    const unit = units.find(([known]) => known.toLowerCase() === name.toLowerCase())
    if (unit === undefined && name !== "") return undefined
    return Math.round(Number(amount) * (unit?.[1] ?? 1))
  }

/** In the largest unit that leaves a whole number; units go from small to large. */
const inUnits =
  (units: Units) =>
  (value: unknown): string => {
    if (typeof value !== "number" || value === 0) return String(value)
    const unit = units.findLast(([, scale]) => value % scale === 0)
    return unit === undefined ? String(value) : `${value / unit[1]}${unit[0]}`
  }

const number = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i

export const integer = (
  key: string,
  range: Range,
  fallback: number,
  about: string,
): Setting<number> =>
  setting(key, {
    schema: whole(range),
    fallback,
    expects: `a whole number from ${range[0]} to ${range[1]}`,
    about,
    fromText: (given) => (/^\d+$/.test(given) ? Number(given) : undefined),
  })

/** A part of a whole, above 0 and at most 1. */
export const share = (key: string, fallback: number, about: string): Setting<number> =>
  setting(key, {
    schema: Schema.Number.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)),
    fallback,
    expects: "a number above 0 and at most 1",
    about,
    fromText: (given) => (/^\d*[.]?\d+$/.test(given) ? Number(given) : undefined),
  })

const priceMax = 1_000_000

/** An amount of money, 0 unless given. */
export const price = (key: string, about: string): Setting<number> =>
  setting(key, {
    schema: Schema.Number.check(Schema.isBetween({ minimum: 0, maximum: priceMax })),
    fallback: 0,
    expects: `an amount from 0 to ${priceMax}`,
    about,
    fromText: (given) => (/^\d+(?:[.]\d+)?$/.test(given) ? Number(given) : undefined),
  })

const kibi = 1024
const byteUnits: Units = [
  ["KiB", kibi],
  ["MiB", kibi ** 2],
  ["GiB", kibi ** 3],
  ["TiB", kibi ** 4],
]

export const inByteUnits = inUnits(byteUnits)

export const bytes = (
  key: string,
  range: Range,
  fallback: number,
  about: string,
): Setting<number> => {
  const [least, most] = range.map(inByteUnits)
  const expects = `bytes from ${least} to ${most}, as a number or with a unit`
  return setting(key, {
    schema: whole(range),
    fallback,
    expects,
    about,
    fromText: scaled(byteUnits),
    show: inByteUnits,
  })
}

const timeUnits: Units = [
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]

export const inTimeUnits = inUnits(timeUnits)

export const duration = (
  key: string,
  range: Range,
  fallback: number,
  about: string,
): Setting<number> => {
  const [least, most] = range.map(inTimeUnits)
  const expects = `a time from ${least} to ${most}, in ms or with a unit`
  return setting(key, {
    schema: whole(range),
    fallback,
    expects,
    about,
    fromText: scaled(timeUnits),
    show: inTimeUnits,
  })
}

export const list = (key: string, about: string): Setting<ReadonlyArray<string>> =>
  setting<ReadonlyArray<string>>(key, {
    schema: Schema.Array(Schema.NonEmptyString),
    fallback: [],
    expects: "a list of texts (with commas between them in a variable or a flag)",
    about,
    fromText: (given) => (given === "" ? [] : given.split(",").map((item) => item.trim())),
  })
