// The fenced blocks of README.md as they stand there, by section and language.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { projectRoot } from "./shared.ts"

export const readmeBlocks = (section: string, language: string): ReadonlyArray<string> => {
  const text = readFileSync(join(projectRoot, "README.md"), "utf8")
  const [, after = ""] = text.split(`\n## ${section}\n`)
  const [body = ""] = after.split(/\n## /)
  return [...body.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, found, block]) =>
    found === language && block !== undefined ? [block] : [],
  )
}
