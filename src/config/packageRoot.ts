// The folder of package.json, wherever this file runs from: the sources, or dist/ of the published
// package. What ships with Sluice (the bundled model, the native sources) is found from here.
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const climb = (folder: string): string => {
  if (existsSync(join(folder, "package.json"))) return folder
  const parent = dirname(folder)
  return parent === folder ? folder : climb(parent)
}

export const packageRoot: string = climb(dirname(fileURLToPath(import.meta.url)))

export const bundledModel: string = join(packageRoot, "models", "tales-11m")
