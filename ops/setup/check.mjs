// `npm run check`: types, lint, format and tidy, without any other test.
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const script = fileURLToPath(new URL("test.mjs", import.meta.url))
process.exitCode = spawnSync(process.execPath, [script, "check"], { stdio: "inherit" }).status ?? 1
