// `npm run build`: dist/ for the published package, since Node strips types from no file under
// node_modules. In a checkout only the console's page is read from dist/.
import { rmSync } from "node:fs"
import { join } from "node:path"
import { buildConsole } from "./console.mjs"
import { root, runs, SetupError } from "./house.mjs"
import { main } from "./setup.mjs"

await main(async () => {
  rmSync(join(root, "dist"), { recursive: true, force: true })
  const tsc = join(root, "node_modules", ".bin", "tsc")
  // The client is the only part that others import, so the only one that comes with its types.
  for (const project of ["tsconfig.build.json", "tsconfig.client.json"]) {
    const code = await runs(tsc, ["-p", project])
    if (code !== 0) throw new SetupError("tsc found errors; dist/ is not complete")
  }
  await buildConsole()
})
