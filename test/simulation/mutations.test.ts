// What the simulation is worth: each guard of an invariant is removed, one at a time, and the
// simulation has to find that out. The product's files are not touched.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { availableParallelism } from "node:os"
import { assert, describe, it } from "@effect/vitest"
import { projectRoot } from "../support/shared.ts"
import { mutated } from "./mutate.ts"
import { mutations } from "./mutations.ts"
import { runSeeds } from "./runSeeds.ts"

/** Within so many seeds each must be found; most are within ten. */
const seedsMax = 2_000
const minutesMax = 5

/** Of architecture section 9: those that show in logs and transcripts of the token path. */
const invariants = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]

describe("mutations", () => {
  it("are of every invariant, have names of their own, and fit the sources", () => {
    const guarded = new Set(mutations.map(({ guards }) => Number(guards.split(":")[0])))
    assert.deepStrictEqual(
      [...guarded].toSorted((a, b) => a - b),
      invariants,
    )
    assert.strictEqual(new Set(mutations.map(({ name }) => name)).size, mutations.length)
    for (const mutation of mutations) {
      const source = readFileSync(join(projectRoot, mutation.file), "utf8")
      assert.notStrictEqual(mutated(mutation, source), source)
    }
  })

  for (const { name, guards } of mutations) {
    it(
      `${name} is found (${guards})`,
      async () => {
        const { failures } = await runSeeds({
          from: 1,
          count: seedsMax,
          processes: Math.min(2, availableParallelism()),
          mutation: name,
          stopsAtFailure: true,
        })
        assert.isAbove(failures.length, 0, `nothing was found in ${seedsMax} seeds`)
      },
      minutesMax * 60_000,
    )
  }
})
