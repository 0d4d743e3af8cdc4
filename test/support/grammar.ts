// The grammar library for tests: built once where there is a cargo. Where there is none, tests that
// need it are skipped, or fail under SLUICE_TEST_ALL.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { projectRoot } from "./shared.ts"

const library = join(projectRoot, "native/build/Release/libsluice_grammar.so")

const buildLibrary = (): boolean => {
  const script = join(projectRoot, "ops/setup/grammar.mjs")
  const built = spawnSync(process.execPath, [script], { stdio: "ignore" }).status === 0
  if (!built && process.env["SLUICE_TEST_ALL"] === "1") {
    throw new Error("the grammar library cannot be built: cargo is missing, or its registry")
  }
  return built || existsSync(library)
}

/** A test's options: skipped where the library cannot be built. */
export const needsGrammars = { skip: !buildLibrary() }
