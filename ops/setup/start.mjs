// `npm start`: set-up, then the server in place of this process, with the flags it was given.
import { join } from "node:path"
import { become, nodeFlags, root } from "./house.mjs"
import { main, setup } from "./setup.mjs"

await main(async () => {
  const node = await setup()
  become(node, [
    ...nodeFlags(),
    join(root, "src", "cli", "main.ts"),
    "serve",
    ...process.argv.slice(2),
  ])
})
