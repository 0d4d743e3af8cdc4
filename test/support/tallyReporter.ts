// Counts what a vitest run did. Alone it prints the closing line; under ops/setup/test.mjs it
// leaves the counts in the file named by SLUICE_TALLY, so that one line can close all tiers
// together.
import { writeFileSync } from "node:fs"
import type { Reporter, TestModule } from "vitest/node"

export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<unknown>): void {
    // An error outside any test (or a file that cannot be loaded) is a failure that no test would
    // show.
    const tally = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      if (module.errors().length > 0) tally.failed++
      for (const test of module.children.allTests()) {
        const state = test.result().state
        if (state === "passed") tally.passed++
        else if (state === "skipped") tally.skipped++
        else tally.failed++
      }
    }
    const file = process.env["SLUICE_TALLY"]
    if (file) writeFileSync(file, JSON.stringify(tally))
    else {
      const { passed, failed, skipped } = tally
      process.stdout.write(`\nTests: ${passed} passed, ${failed} failed, ${skipped} skipped\n`)
    }
  }
}
