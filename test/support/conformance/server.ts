// The server that clients of others are tried on: `sluice serve` as a child with the scripted
// engine at a pace at which a stream can be watched, broken off and taken up again.
import { afterAll, beforeAll } from "vitest"
import { type Sluice, startSluice } from "../server.ts"

/** Tokens a second of each stream. */
export const pace = 100

/** One server for all tests of a file; valid inside its tests. `native`: the bundled model. */
export const useServer = (
  engine: "scripted" | "native" = "scripted",
): { readonly url: string; readonly port: number } => {
  let sluice: Sluice | null = null
  beforeAll(async () => {
    const flags = ["--engine", engine]
    sluice = await startSluice({
      flags,
      env: { SLUICE_SCRIPTED_TOKENS_PER_SECOND: String(pace) },
    })
  })
  afterAll(async () => {
    await sluice?.stop()
  })
  return {
    get url() {
      return sluice?.url ?? ""
    },
    get port() {
      return sluice?.port ?? 0
    },
  }
}
