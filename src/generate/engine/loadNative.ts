// Finds and loads the built addon, once, at the first call. In a checkout and in the published
// package alike it lies under native/build of the package's root.
import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Native } from "./native.ts"

const built = join("native", "build", "Release", "sluice_engine.node")

/** From this file upwards: sources and compiled files lie at different depths. */
const findAddon = (): string => {
  const here = dirname(fileURLToPath(import.meta.url))
  for (let folder = here; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, built))) return join(folder, built)
  }
  throw new Error(`${built} is not built: run npm run native`)
}

let loaded: Native | null = null

export const loadNative = (): Native => {
  loaded ??= createRequire(import.meta.url)(findAddon()) as Native
  return loaded
}
