// How tests run: each file in its own process (the addon and LMDB hold process-wide state), few at
// a time. The tiers and their order are in ops/setup/test.mjs.
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ["default", "./test/support/tallyReporter.ts"],
  },
})
