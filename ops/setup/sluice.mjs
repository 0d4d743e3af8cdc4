#!/usr/bin/env node
// The `sluice` command. Whatever Node starts it, the CLI runs on one that can: the one npm brought
// with the package, or this one. A checkout runs its sources; the published package its compiled
// dist/.
import { existsSync } from "node:fs"
import { join, sep } from "node:path"
import { pathToFileURL } from "node:url"
import { become, findNode, nodeFlags, nodeSentence, root, say } from "./house.mjs"
import { buildAddon, main } from "./setup.mjs"

const needsEngine = ["serve", "worker"]
const wantsHelp = ["--help", "-h"]

await main(async () => {
  const node = findNode()
  if (node === null) {
    say(nodeSentence)
    process.exitCode = 1
    return
  }
  const args = process.argv.slice(2)
  if (needsEngine.includes(args[0]) && !args.some((arg) => wantsHelp.includes(arg))) {
    await buildAddon(node)
  }
  // Node strips types from no file under node_modules.
  const published = root.includes(`${sep}node_modules${sep}`)
  const compiled = join(root, "dist", "src", "cli", "main.js")
  const source = join(root, "src", "cli", "main.ts")
  const entry = (published || !existsSync(source)) && existsSync(compiled) ? compiled : source
  if (node === process.execPath) {
    process.argv.splice(1, 1, entry)
    await import(pathToFileURL(entry).href)
  } else {
    become(node, [...nodeFlags(), entry, ...args])
  }
})
