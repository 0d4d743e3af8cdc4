// Where the data lies that only tests need (golden files, hostile inputs, further models): the
// folder `shared` beside the project's root. A test that needs it says so when it is absent.
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const sharedRoot = new URL("../../../shared/", import.meta.url)

export const projectRoot = fileURLToPath(new URL("../../", import.meta.url))

export const sharedPath = (...parts: ReadonlyArray<string>): string =>
  fileURLToPath(new URL(parts.join("/"), sharedRoot))

/** True where every named path under shared/ is there. */
export const hasShared = (...paths: ReadonlyArray<string>): boolean =>
  existsSync(sharedRoot) && paths.every((path) => existsSync(sharedPath(path)))
