// `sluice config`: every setting in force, in the form of sluice.yaml, each with where it came
// from. Keys of clients are counted, never shown.
import type { Loaded } from "../config/load.ts"
import type { Setting } from "../config/setting.ts"
import { allSettings } from "../config/settings.ts"
import { valueAt } from "../config/valueAt.ts"

/** A secret's line is a comment: what is printed can be used as a file, and gives nothing away. */
const line = ({ key, secret, show }: Setting<unknown>, leaf: string, value: unknown): string =>
  secret
    ? `# ${key}: ${Array.isArray(value) ? value.length : 1} configured`
    : `${leaf}: ${JSON.stringify(typeof value === "string" ? show(value) : value)}`

const column = 44

export const printConfig = ({ config, sources }: Loaded): string => {
  const lines: Array<string> = []
  let section = ""
  // Settings without a section first: in YAML a section's name ends what stood before it.
  const ordered = [
    ...allSettings.filter(({ key }) => !key.includes(".")),
    ...allSettings.filter(({ key }) => key.includes(".")),
  ]
  for (const setting of ordered) {
    const parts = setting.key.split(".")
    const leaf = parts.at(-1) ?? setting.key
    if (parts.length > 1 && parts[0] !== section) {
      section = parts[0] ?? ""
      lines.push(`${section}:`)
    }
    const own = line(setting, leaf, valueAt(config, setting.key))
    const text = `${parts.length > 1 ? "  " : ""}${own}`
    lines.push(`${text.padEnd(column)} # ${sources.get(setting.key) ?? "default"}`)
  }
  return lines.join("\n")
}
