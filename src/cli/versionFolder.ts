// Whether a folder can take the place of the one that serves: a whole model, of the same text. A
// request is tokenised before its version is chosen, so another tokenizer is another model.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** Why not; null: it can. */
export const versionFault = (source: string, serving: string): string | null => {
  if (!existsSync(source)) return `${source} does not exist`
  for (const file of ["config.json", "tokenizer.json"]) {
    if (!existsSync(join(source, file))) return `${source} lacks ${file}`
  }
  if (!readdirSync(source).some((file) => file.endsWith(".safetensors"))) {
    return `${source} lacks weights: no *.safetensors`
  }
  const [own, other] = [serving, source].map((folder) => join(folder, "tokenizer.json"))
  if (own !== undefined && other !== undefined && existsSync(own)) {
    if (!readFileSync(own).equals(readFileSync(other))) {
      return `${other} differs from that of the version that serves: serve it as another model`
    }
  }
  return null
}
