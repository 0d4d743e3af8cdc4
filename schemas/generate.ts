// Writes schemas/types.ts and schemas/avro.ts from the .avsc files: `npm run schemas`. The output
// is a pure function of the files, so a test can tell a stale one. Only the parts of Avro that
// Sluice's schemas use are known; anything else stops the generator by name. Not on any path at run
// time.
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

interface Field {
  readonly name: string
  readonly type: Avro
  readonly doc?: string
}

interface Named {
  readonly type: string
  readonly name?: string
  readonly doc?: string
  readonly fields?: ReadonlyArray<Field>
  readonly symbols?: ReadonlyArray<string>
  readonly items?: Avro
}

type Avro = string | Named | ReadonlyArray<Avro>

const folder = fileURLToPath(new URL(".", import.meta.url))

const primitives: Readonly<Record<string, string>> = {
  null: "null",
  string: "string",
  int: "number",
  long: "number",
  float: "number",
  double: "number",
  boolean: "boolean",
  bytes: "Uint8Array",
}

const isUnion = (type: Avro): type is ReadonlyArray<Avro> => Array.isArray(type)

const nameOf = (named: Named): string => {
  if (named.name === undefined) throw new Error(`a ${named.type} has no name`)
  return named.name
}

/** The unions of records, each under the name by which its TypeScript type is exported. */
const unionName = (record: string, field: string): string => {
  if (record === "TokenFrame" && field === "entries") return "TokenEntry"
  if (record === "ControlEvent" && field === "change") return "ControlChange"
  throw new Error(`${record}.${field}: a union of records needs a name in schemas/generate.ts`)
}

const columnsMax = 100

const docLines = (doc: string | undefined, indent: string): ReadonlyArray<string> => {
  if (doc === undefined) return []
  const single = `${indent}/** ${doc} */`
  if (single.length <= columnsMax) return [single]
  const lines = [`${indent} *`]
  for (const word of doc.split(" ")) {
    const last = lines[lines.length - 1] ?? ""
    if (last.length + 1 + word.length <= columnsMax) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(`${indent} * ${word}`)
  }
  return [`${indent}/**`, ...lines, `${indent} */`]
}

/**
 * What one schema file declares, in the order of its text: named types before those that use them.
 */
class Declarations {
  readonly lines: Array<string> = []

  /** The TypeScript type of `type`; named types inside it are declared first. */
  write(type: Avro, owner: string): string {
    if (typeof type === "string") return primitives[type] ?? type
    if (isUnion(type)) return this.writeUnion(type, owner)
    if (type.type === "array" && type.items !== undefined) {
      const item = this.write(type.items, owner)
      return `ReadonlyArray<${item}>`
    }
    if (type.type === "enum" && type.symbols !== undefined) {
      const symbols = type.symbols.map((symbol) => `"${symbol}"`).join(" | ")
      this.add(type, [`export type ${nameOf(type)} = ${symbols}`])
      return nameOf(type)
    }
    if (type.type === "record") return this.writeRecord(type, false)
    const primitive = primitives[type.type]
    if (primitive === undefined) throw new Error(`unknown Avro type ${JSON.stringify(type)}`)
    return primitive
  }

  private writeUnion(union: ReadonlyArray<Avro>, owner: string): string {
    const others = union.filter((branch) => branch !== "null")
    const nullable = others.length < union.length
    if (others.length === 1 && others[0] !== undefined && nullable) {
      return `${this.write(others[0], owner)} | null`
    }
    const records = others.map((branch) => {
      if (typeof branch === "string" || isUnion(branch) || branch.type !== "record" || nullable) {
        throw new Error(`${owner}: a union is of null and one type, or of records`)
      }
      return this.writeRecord(branch, true)
    })
    const [record = "", field = ""] = owner.split(".")
    const name = unionName(record, field)
    this.lines.push("", `export type ${name} =`, ...records.map((branch) => `  | ${branch}`))
    return name
  }

  private writeRecord(record: Named, tagged: boolean): string {
    const name = nameOf(record)
    const body = (record.fields ?? []).flatMap((field) => [
      ...docLines(field.doc, "  "),
      `  readonly ${field.name}: ${this.write(field.type, `${name}.${field.name}`)}`,
    ])
    const tag = tagged ? [`  readonly kind: "${name}"`] : []
    this.add(record, [`export interface ${name} {`, ...tag, ...body, "}"])
    return name
  }

  private add(named: Named, lines: ReadonlyArray<string>): void {
    this.lines.push("", ...docLines(named.doc, ""), ...lines)
  }
}

const schemaFiles = (): ReadonlyArray<string> =>
  readdirSync(folder)
    .filter((file) => file.endsWith(".avsc"))
    .sort()

/** The text that types.ts should have. */
export const generateTypes = (): string => {
  const declarations = new Declarations()
  for (const file of schemaFiles()) {
    const schema: Avro = JSON.parse(readFileSync(folder + file, "utf8"))
    declarations.write(schema, file)
  }
  const header = [
    "// What travels in the logs, as TypeScript types. Generated from the .avsc files beside this",
    "// by schemas/generate.ts (`npm run schemas`): edit those. Longs are whole, within 2^53.",
  ]
  return [...header, ...declarations.lines, ""].join("\n")
}

const withoutDoc = (key: string, value: unknown): unknown => (key === "doc" ? undefined : value)

const pastFolder = `${folder}past/`

const quotedColumns = 90

const quotedLines = (json: string): ReadonlyArray<string> =>
  (json.match(new RegExp(`.{1,${quotedColumns}}`, "g")) ?? []).map((part) =>
    part.includes('"') ? `    '${part}',` : `    "${part}",`,
  )

const embedded = (name: string, path: string): ReadonlyArray<string> => {
  const json = JSON.stringify(JSON.parse(readFileSync(path, "utf8")), withoutDoc)
  return [`  ${name}: [`, ...quotedLines(json), '  ].join(""),']
}

/**
 * The text that avro.ts should have: the schemas as JSON, less their docs, readable without a file.
 */
export const generateAvro = (): string => {
  const current = schemaFiles().map((file) => embedded(file.replace(".avsc", ""), folder + file))
  const past = readdirSync(pastFolder)
    .sort()
    .map((file) => embedded(file.replace(".avsc", "").replace(".", ""), pastFolder + file))
  const header = [
    "// The Avro schemas as JSON text, current and past: no file is read at run time. Generated",
    "// from the .avsc files beside this by schemas/generate.ts (`npm run schemas`): edit those.",
    "export const avroText = {",
  ]
  const between = ["}", "", "/** By name and version. */", "export const pastAvroText = {"]
  return [...header, ...current.flat(), ...between, ...past.flat(), "}", ""].join("\n")
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(`${folder}types.ts`, generateTypes())
  writeFileSync(`${folder}avro.ts`, generateAvro())
}
