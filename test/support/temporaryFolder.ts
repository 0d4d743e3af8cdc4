// A folder under the system's temporary one that is gone again with its scope.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

export const temporaryFolder = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), `sluice-${name}-`))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true })),
  )
